//! What the rooms below are told of the configuration, each in its own terms.

use std::time::Duration;

use crate::accounts::publication::{PublicationOptions, PublishFrom};
use crate::accounts::{AccountOptions, DeviceOptions, FactorOptions, HashingOptions, LifeOptions, ThrottleOptions};
use crate::audit::OneByOne;
use crate::audit::indicators::IndicatorOptions;
use crate::config::sending::Route;
use crate::config::{Config, directory, notices};
use crate::mail::queue::{QueueOptions, RouteTimes};
use crate::mail::summary::SummaryLimits;
use crate::mail::{MailLimits, NewMailTimes, QuotaByKind};
use crate::mss::CitizenRules;
use crate::mss::lifecycle::Delays;
use crate::store::{self, NewMailPace};

pub(super) fn store_options(config: &Config) -> store::Options {
    let settings = &config.store;
    store::Options {
        cache: settings.cache,
        segment: u32::try_from(settings.segment).unwrap_or(u32::MAX),
        checkpoint_every: settings.checkpoint,
        checkpoint_bytes: settings.checkpoint_bytes,
        reserve: settings.min_free,
    }
}

pub(super) fn account_options(config: &Config) -> AccountOptions {
    let settings = &config.accounts;
    let hashing = HashingOptions {
        memory: u32::try_from(settings.password_memory / 1024).unwrap_or(u32::MAX),
        passes: settings.password_passes,
        lanes: settings.password_lanes,
        at_once: settings.password_checks,
        ..HashingOptions::default()
    };
    let throttle = ThrottleOptions {
        a_minute: settings.password_tries,
        free: settings.password_free_tries,
        first_delay: settings.password_first_delay,
        longest_delay: settings.password_longest_delay,
        ..ThrottleOptions::default()
    };
    AccountOptions {
        hashing,
        throttle,
        devices: device_options(config),
        factors: factor_options(config),
        life: life_options(config),
        new_places: config.notices.new_places,
        publication: publication_options(config),
        address_required: config.notices.address_required,
        refused_logins: OneByOne {
            of_source: config.traces.refused_logins_of_address,
            in_all: config.traces.refused_logins,
        },
    }
}

/// How much refused mail is traced one by one within a minute.
pub(super) fn refused_mail(config: &Config) -> OneByOne {
    OneByOne { of_source: config.traces.refused_mail_of_address, in_all: config.traces.refused_mail }
}

fn life_options(config: &Config) -> LifeOptions {
    let settings = &config.lifecycle;
    let days = |duration| whole_seconds(duration) / 86_400;
    LifeOptions {
        delays: Delays {
            inactivity: days(settings.inactivity),
            notice: days(settings.notice),
            answer: settings.answer,
            kept: days(settings.identification_keep),
        },
        asked: config.terms.kinds.clone(),
        unconfirmed_percent: u64::from(settings.unconfirmed_percent),
        terms_grace: whole_seconds(config.terms.grace),
        journal_keep: whole_seconds(settings.journal_keep),
    }
}

pub(super) fn indicator_options(config: &Config, citizens: &CitizenRules) -> IndicatorOptions {
    let indicators = &config.indicators;
    IndicatorOptions {
        most_rows: indicators.most_rows,
        anonymous_after: indicators.anonymous_after,
        keep: indicators.keep,
        citizens: citizens.clone(),
        // A configuration that was taken has a good one.
        layout: indicators.layout().unwrap_or_default(),
        ..IndicatorOptions::default()
    }
}

fn publication_options(config: &Config) -> PublicationOptions {
    let directory = &config.directory;
    PublicationOptions {
        on: directory.is_on(),
        from: match directory.publish_from {
            directory::PublishFrom::Acceptance => PublishFrom::Acceptance,
            directory::PublishFrom::Creation => PublishFrom::Creation,
        },
        test_mailboxes: directory.test_mailboxes,
    }
}

fn device_options(config: &Config) -> DeviceOptions {
    let devices = &config.devices;
    let named = Some(devices.authority_name.clone()).filter(|name| !name.is_empty());
    DeviceOptions {
        validity: whole_seconds(devices.validity),
        most: devices.most,
        grace: whole_seconds(devices.grace),
        certificate_alone: devices.certificate_alone,
        authority_name: named.unwrap_or_else(|| format!("Postes de travail de {}", config.server.name)),
        authority_validity: whole_seconds(devices.authority_validity),
    }
}

fn factor_options(config: &Config) -> FactorOptions {
    let codes = &config.codes;
    FactorOptions {
        lifetime: whole_seconds(codes.lifetime),
        tries: codes.tries,
        digits: codes.digits,
        by_mail: codes.by_mail,
        by_mail_per_hour: codes.by_mail_per_hour,
        recovery: codes.recovery,
        issuer: config.server.name.clone(),
    }
}

fn whole_seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

pub(super) fn mail_limits(config: &Config) -> MailLimits {
    MailLimits {
        quota: Some(config.accounts.quota),
        quota_by_kind: quota_by_kind(config),
        warn_at: config.quotas.warn_at.clone(),
        new_mail: config.notices.is_on().then(|| new_mail_times(config)),
        folders: config.accounts.max_folders as usize,
        summary: SummaryLimits {
            depth: config.limits.mime_depth as usize,
            parts: config.limits.mime_parts as usize,
            ..SummaryLimits::default()
        },
        queue: queue_options(config),
        host: config.server.name.clone(),
        ..MailLimits::default()
    }
}

fn quota_by_kind(config: &Config) -> QuotaByKind {
    let quotas = &config.quotas;
    let given = |bytes: u64| Some(bytes).filter(|bytes| *bytes > 0);
    QuotaByKind { per: given(quotas.per), org: given(quotas.org), app: given(quotas.app), cab: given(quotas.cab) }
}

fn new_mail_times(config: &Config) -> NewMailTimes {
    let pace = match config.notices.new_mail {
        notices::NewMailPace::AtOnce => NewMailPace::AtOnce,
        notices::NewMailPace::Hourly => NewMailPace::Hourly,
        notices::NewMailPace::Daily => NewMailPace::Daily,
        notices::NewMailPace::None => NewMailPace::None,
    };
    NewMailTimes { pace, daily_hour: config.notices.daily_hour }
}

fn queue_options(config: &Config) -> QueueOptions {
    let seconds = whole_seconds;
    let route = |route: &Route| RouteTimes {
        domains: route.domains.iter().map(|domain| domain.to_ascii_lowercase()).collect(),
        first_retry: route.first_retry.map(seconds),
        longest_retry: route.longest_retry.map(seconds),
        lifetime: route.lifetime.map(seconds),
    };
    let queue = &config.queue;
    QueueOptions {
        first_retry: seconds(queue.first_retry),
        longest_retry: seconds(queue.longest_retry),
        lifetime: seconds(queue.lifetime),
        delay_notice: seconds(queue.delay_notice),
        turn_key_every: seconds(queue.turn_key_every),
        at_once: queue.at_once,
        first_window: queue.first_window,
        largest_window: queue.largest_window,
        routes: config.relay.routes.iter().map(route).collect(),
    }
}
