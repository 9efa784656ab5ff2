//! All that holders read on the page, in French.

use std::time::Duration;

use crate::accounts::day_of;
use crate::mss::text::french_day;

// ---- every page ----

pub(super) const SKIP: &str = "Aller au contenu";
pub(super) const NAVIGATION: &str = "Rubriques";
pub(super) const NAV_DEVICES: &str = "Postes";
pub(super) const NAV_FACTORS: &str = "Codes à usage unique";
pub(super) const NAV_PASSWORD: &str = "Mot de passe";
pub(super) const NAV_NOTICES: &str = "Avis";
pub(super) const NAV_LOOKUP: &str = "Annuaire";
pub(super) const NAV_GUIDE: &str = "Réglages et aide";
pub(super) const NAV_MAILBOXES: &str = "Changer de boîte";
pub(super) const LEAVE: &str = "Se déconnecter";
pub(super) const SERVICE: &str = "Messagerie sécurisée de santé";
pub(super) const CONTACT: &str = "Besoin d’aide ?";
pub(super) const BACK: &str = "Revenir à l’accueil";
pub(super) const CANCEL: &str = "Annuler";
pub(super) const REFERENCE: &str = "Référence à donner à votre assistance :";

// ---- refusals ----

pub(super) const FAILED_TITLE: &str = "Une erreur est survenue";
pub(super) const FAILED: &str = "Le service n’a pas pu traiter votre demande. Réessayez ; si l’erreur persiste, prévenez \
                                 votre assistance.";
pub(super) const LATER_TITLE: &str = "Service momentanément indisponible";
pub(super) const LATER: &str = "Le service est momentanément indisponible. Réessayez dans quelques instants.";
pub(super) const NO_PAGE_TITLE: &str = "Page introuvable";
pub(super) const NO_PAGE: &str = "Cette page n’existe pas.";
pub(super) const STALE_FORM_TITLE: &str = "Page expirée";
pub(super) const STALE_FORM: &str = "Cette page a expiré ou ne vient pas de votre navigateur. Rien n’a été changé : \
                                     recommencez depuis l’accueil.";
pub(super) const BAD_FORM_TITLE: &str = "Formulaire illisible";
pub(super) const BAD_FORM: &str =
    "Le formulaire reçu est illisible. Rien n’a été changé : recommencez depuis l’accueil.";
pub(super) const NOT_YOURS_TITLE: &str = "Action réservée";
pub(super) const NOT_YOURS: &str = "Vous n’avez pas le droit de gérer cette boîte aux lettres. Adressez-vous à son \
                                    responsable.";
pub(super) const NOT_OPEN_TITLE: &str = "Boîte aux lettres non ouverte";
pub(super) const NOT_OPEN: &str = "Cette boîte aux lettres est suspendue ou clôturée. Adressez-vous à votre opérateur.";
pub(super) const CANNOT_TITLE: &str = "Action impossible";

pub(super) const NOT_LET_IN_TITLE: &str = "Connexion refusée";
pub(super) const ENDED_TITLE: &str = "Session terminée";
pub(super) const ENDED: &str = "Votre session a pris fin : elle a été fermée par l’opérateur, ou ce qui vous ouvrait cette boîte aux \
                                lettres a changé.";

// ---- logging in ----

pub(super) const LOGIN_TITLE: &str = "Connexion";
pub(super) const LOGIN_INTRO: &str =
    "Gérez ici les postes et les téléphones qui ouvrent votre boîte aux lettres sécurisée.";
pub(super) const PSC_HEADING: &str = "Avec Pro Santé Connect";
pub(super) const PSC_TEXT: &str = "Avec votre carte CPS ou votre e-CPS.";
pub(super) const PSC_BUTTON: &str = "S’identifier avec Pro Santé Connect";
pub(super) const PASSWORD_HEADING: &str = "Avec un mot de passe et un code";
pub(super) const PASSWORD_TEXT: &str = "Le mot de passe de votre boîte aux lettres, puis un code à usage unique.";
pub(super) const ADDRESS: &str = "Adresse de la boîte aux lettres";
pub(super) const PASSWORD: &str = "Mot de passe";
pub(super) const CONTINUE: &str = "Continuer";
pub(super) const WRONG_PASSWORD: &str = "Adresse ou mot de passe incorrect.";

pub(super) const CODE_TITLE: &str = "Code à usage unique";
pub(super) const CODE: &str = "Code";
pub(super) const CODE_FROM_APP: &str = "Ouvrez l’application de codes de votre téléphone et recopiez le code affiché, ou \
                                        utilisez l’un de vos codes de secours.";
pub(super) const SEND_CODE: &str = "Recevoir un code par courriel";
pub(super) const CODE_RECOVERY: &str = "À défaut, utilisez l’un de vos codes de secours.";
pub(super) const CODE_NONE: &str = "Aucun code n’est encore en place pour cette boîte aux lettres. Connectez-vous avec Pro Santé \
                                    Connect, ou demandez à votre opérateur d’enregistrer votre adresse de notification.";
pub(super) const CODE_SPENT: &str =
    "Ce code n’est plus valable : il a expiré, ou trop d’essais ont échoué. Demandez-en un autre.";
pub(super) const NO_FACTOR: &str = "Aucun code à usage unique n’est en place pour cette boîte aux lettres.";
pub(super) const CANNOT_MAIL: &str = "Aucun code ne peut être envoyé par courriel pour cette boîte aux lettres.";
pub(super) const VALIDATE: &str = "Valider";

pub(super) const PSC_REFUSED_TITLE: &str = "Identification refusée";
pub(super) const PSC_REFUSED: &str =
    "Pro Santé Connect n’a pas confirmé votre identité, ou vous avez interrompu l’identification.";
pub(super) const PSC_AWAY: &str = "Pro Santé Connect ne répond pas. Réessayez dans quelques instants.";
pub(super) const NO_PSC: &str = "L’identification avec Pro Santé Connect n’est pas proposée ici.";
pub(super) const NO_TRIP_TITLE: &str = "Identification à recommencer";
pub(super) const NO_TRIP: &str = "Ce retour de Pro Santé Connect ne correspond à aucune demande de ce navigateur. Recommencez \
                                  depuis l’accueil.";
pub(super) const NO_MAILBOX_TITLE: &str = "Aucune boîte aux lettres";
pub(super) const NO_MAILBOX: &str = "Aucune boîte aux lettres de cet opérateur ne vous est ouverte. Si vous devriez en avoir une, \
                                     adressez-vous à votre opérateur ou au responsable de la boîte.";

pub(super) const CHOOSE_TITLE: &str = "Choisir une boîte aux lettres";
pub(super) const CHOOSE_TEXT: &str = "Plusieurs boîtes aux lettres vous sont ouvertes.";
pub(super) const OPEN: &str = "Ouvrir";

pub(super) const GOODBYE_TITLE: &str = "Vous êtes déconnecté";
pub(super) const GOODBYE: &str = "Votre session est terminée.";
pub(super) const GOODBYE_PSC: &str = "Terminer aussi ma session Pro Santé Connect";

// ---- terms of use ----

pub(super) const TERMS_TITLE: &str = "Conditions d’utilisation";
pub(super) const TERMS_WAIT: &str = "La boîte aux lettres s’ouvrira dès que vous les aurez acceptées.";
pub(super) const TERMS_TICK: &str = "J’ai lu ces conditions d’utilisation et je les accepte.";
pub(super) const TERMS_ACCEPT: &str = "Accepter";
pub(super) const TERMS_LATER: &str = "Plus tard";
pub(super) const TERMS_ACCEPTED_FOR: &str = "Les conditions d’utilisation sont acceptées. La boîte aux lettres est ouverte aux personnes \
     inscrites sur sa liste d’accès.";
pub(super) const TERMS_OWED: &str =
    "Les conditions d’utilisation de cette boîte aux lettres sont à accepter par son titulaire.";

pub(super) fn terms_intro(address: &str, version: &str) -> String {
    format!("Conditions d’utilisation de la boîte aux lettres {address}, version {version}.")
}

/// `now`: the day may be over, and the mailbox not suspended yet.
pub(super) fn terms_until(until: i64, now: i64) -> String {
    if day_of(until) < day_of(now) {
        return format!(
            "La date d’acceptation, le {}, est passée : acceptez-les maintenant, la boîte aux lettres peut être suspendue à tout \
             moment.",
            day(until)
        );
    }
    format!("Acceptez-les avant la fin du {} : passé cette date, la boîte aux lettres sera suspendue.", day(until))
}

// ---- workstations ----

pub(super) const DEVICES_TITLE: &str = "Postes et téléphones";
pub(super) const DEVICES_TEXT: &str = "Chaque poste ouvre la boîte aux lettres avec son propre certificat et le mot de passe de la \
                                       boîte. Révoquez un poste perdu, volé ou remplacé : il n’ouvre plus rien aussitôt.";
pub(super) const NO_DEVICES: &str = "Aucun poste n’est enregistré.";
pub(super) const NEW_DEVICE: &str = "Enregistrer un poste";
pub(super) const DEVICE_NAME: &str = "Poste";
pub(super) const DEVICE_SINCE: &str = "Enregistré le";
pub(super) const DEVICE_UNTIL: &str = "Valable jusqu’au";
pub(super) const DEVICE_USED: &str = "Dernière utilisation";
pub(super) const DEVICE_STATE: &str = "État";
pub(super) const DEVICE_ACTIONS: &str = "Actions";
pub(super) const STATE_VALID: &str = "valable";
pub(super) const STATE_REPLACED: &str = "remplacé";
pub(super) const STATE_EXPIRED: &str = "expiré";
pub(super) const NEVER: &str = "jamais";
pub(super) const RENEW: &str = "Renouveler";
pub(super) const REVOKE: &str = "Révoquer";

pub(super) const NEW_DEVICE_TITLE: &str = "Enregistrer un poste";
pub(super) const NEW_DEVICE_TEXT: &str = "Donnez au poste un nom qui vous permettra de le reconnaître.";
pub(super) const NAME_FIELD: &str = "Nom du poste";
pub(super) const NAME_HINT: &str = "Par exemple : ordinateur du cabinet, téléphone.";
pub(super) const OLD_FORM: &str =
    "Appareil ancien (macOS avant 15, iOS avant 16, Windows 8) qui refuse le fichier habituel";
pub(super) const OLD_FORM_SHORT: &str = "Fichier pour appareil ancien";
pub(super) const CSR_SUMMARY: &str = "Le poste a déjà sa clé : fournir une demande de certificat";
pub(super) const CSR_FIELD: &str = "Demande de certificat (PKCS#10, PEM)";
pub(super) const CSR_HINT: &str = "La clé privée reste alors sur le poste ; vous recevrez un certificat.";
pub(super) const ENROL: &str = "Enregistrer";
pub(super) const BAD_NAME: &str = "Donnez un nom de 1 à 60 caractères.";
pub(super) const NAME_TAKEN: &str =
    "Un poste valable porte déjà ce nom. Choisissez-en un autre, ou renouvelez ce poste.";
pub(super) const BAD_CSR: &str = "Cette demande de certificat est illisible, ou sa clé ne convient pas (ECDSA P-256 ou P-384, RSA de \
                                  2048 bits au moins).";
pub(super) const NOT_FOR_KIND: &str =
    "Une boîte applicative s’ouvre avec un certificat de l’IGC-Santé : elle n’a pas de postes.";

pub(super) const NOBODY_NAMED: &str = "Le mot de passe et les codes de cette boîte sont partagés : ils ne disent pas qui vous êtes, et \
                                       chaque poste est celui d’une personne. Pour enregistrer le vôtre, connectez-vous avec Pro Santé \
                                       Connect, ou demandez-le à votre opérateur.";

pub(super) const HANDED_TITLE: &str = "Poste enregistré";
pub(super) const HANDED_PASSWORD: &str = "Mot de passe du fichier";
pub(super) const HANDED_ONCE: &str =
    "Notez-le maintenant : il ne sera plus affiché. Il ne sert qu’à importer le fichier.";
pub(super) const HANDED_FILE: &str = "Le fichier contient la clé du poste. Il peut être téléchargé pendant dix minutes, puis il est \
                                      oublié par le serveur. Effacez-le du poste une fois importé.";
pub(super) const DOWNLOAD: &str = "Télécharger le certificat du poste";
pub(super) const HANDED_PEM: &str = "Voici le certificat du poste, suivi de celui de l’autorité qui l’a signé.";
pub(super) const HANDED_NEXT: &str = "Comment l’importer et régler la messagerie";
pub(super) const NO_FILE_TITLE: &str = "Fichier indisponible";
pub(super) const NO_FILE: &str = "Ce fichier n’est plus disponible. Révoquez le poste et enregistrez-le de nouveau.";
pub(super) const NO_DEVICE_TITLE: &str = "Poste introuvable";
pub(super) const NO_DEVICE: &str = "Ce poste n’existe pas ou plus.";

pub(super) const REVOKE_TITLE: &str = "Révoquer un poste";
pub(super) const REVOKE_SURE: &str = "Ce poste n’ouvrira plus la boîte aux lettres, et ses sessions en cours prendront fin. Cette \
                                      action est définitive.";
pub(super) const REVOKE_YES: &str = "Oui, révoquer ce poste";

// ---- codes ----

pub(super) const FACTORS_TITLE: &str = "Codes à usage unique";
pub(super) const FACTORS_TEXT: &str =
    "Un code complète le mot de passe quand vous vous connectez ici sans Pro Santé Connect.";
pub(super) const APP_HEADING: &str = "Application de codes";
pub(super) const APP_NONE: &str = "Aucune application n’est en place. C’est le moyen le plus sûr : mettez-en une en place avec \
                                   votre téléphone.";
pub(super) const APP_BEGIN: &str = "Mettre en place une application";
pub(super) const APP_REPLACE: &str = "Remplacer l’application";
pub(super) const MAIL_HEADING: &str = "Codes par courriel";
pub(super) const MAIL_NONE: &str = "Aucun code n’est envoyé par courriel : une application est en place, ou aucune adresse de \
                                    notification n’est enregistrée.";
pub(super) const RECOVERY_HEADING: &str = "Codes de secours";
pub(super) const RECOVERY_NEW: &str = "Créer de nouveaux codes de secours";
pub(super) const RECOVERY_TEXT: &str = "Les anciens codes ne seront plus valables.";
pub(super) const SETUP_TITLE: &str = "Mettre en place une application";
pub(super) const SETUP_TEXT: &str =
    "Avec l’application de codes de votre téléphone, photographiez ce carré, ou recopiez la clé.";
pub(super) const SETUP_QR: &str = "Code QR de la clé de l’application";
pub(super) const SETUP_SECRET: &str = "Clé à recopier";
pub(super) const SETUP_CODE: &str = "Code affiché par l’application";
pub(super) const SETUP_AGAIN: &str = "Gardez l’application ouverte et recopiez le code qu’elle affiche maintenant.";
pub(super) const RECOVERY_TITLE: &str = "Vos codes de secours";
pub(super) const RECOVERY_ONCE: &str = "Notez ou imprimez ces codes maintenant : ils ne seront plus affichés. Chacun sert une fois, si \
                                        vous n’avez plus votre téléphone.";
pub(super) const APP_IN_USE: &str = "L’application est en place.";

// ---- password ----

pub(super) const PASSWORD_TITLE: &str = "Mot de passe de la boîte";
pub(super) const PASSWORD_NEW_TEXT: &str = "La messagerie de vos postes demande ce mot de passe en plus de leur certificat. L’ancien \
                                            cessera d’ouvrir la boîte aux lettres.";
pub(super) const PASSWORD_NEW: &str = "Nouveau mot de passe";
pub(super) const PASSWORD_AGAIN: &str = "Nouveau mot de passe, encore une fois";
pub(super) const PASSWORD_SET: &str = "Changer le mot de passe";
pub(super) const PASSWORDS_DIFFER: &str = "Les deux mots de passe sont différents.";
/// How the credential is called in the administrator's lists.
pub(super) const PASSWORD_LABEL: &str = "portail";

// ---- notices ----

pub(super) const NOTICES_TITLE: &str = "Avis à votre adresse habituelle";
pub(super) const NOTICES_TEXT: &str = "Les avis disent qu’il se passe quelque chose dans votre boîte aux lettres : un nouveau poste, \
    une boîte bientôt pleine, des messages qui vous attendent. Ils ne disent jamais de qui viennent les messages ni de quoi ils \
    parlent, et ne contiennent aucun lien.";
pub(super) const NOTICES_NOWHERE: &str = "Aucun avis ne vous est envoyé : aucune adresse n’est enregistrée pour cela, ou le service \
    n’en envoie pas. Adressez-vous à l’assistance.";
pub(super) const NOTICES_LEGEND: &str = "Être averti des nouveaux messages";
pub(super) const NOTICES_AT_ONCE: &str = "dès leur arrivée";
pub(super) const NOTICES_HOURLY: &str = "une fois par heure au plus";
pub(super) const NOTICES_DAILY: &str = "une fois par jour";
pub(super) const NOTICES_NONE: &str = "jamais";
pub(super) const NOTICES_CHOOSE: &str = "Enregistrer";
pub(super) const NOTICES_CHOSEN: &str = "Votre choix est enregistré.";

pub(super) fn notices_to(address: &str) -> String {
    format!("Ils sont envoyés à {address}. Pour changer cette adresse, adressez-vous à l’assistance.")
}

// ---- the national directory ----

pub(super) const LOOKUP_TITLE: &str = "Annuaire national";
pub(super) const LOOKUP_TEXT: &str = "Trouvez l’adresse sécurisée d’un professionnel ou d’une structure. Le début d’un mot suffit ; ni \
                                      les accents ni les majuscules ne comptent. Les boîtes en liste rouge n’y figurent pas. Votre \
                                      opérateur garde la trace de vos recherches, mais non de ce que vous cherchez.";
pub(super) const LOOKUP_NAME: &str = "Nom et prénom";
pub(super) const LOOKUP_PROFESSION: &str = "Profession ou spécialité";
pub(super) const LOOKUP_STRUCTURE: &str = "Structure ou service";
pub(super) const LOOKUP_TOWN: &str = "Ville ou code postal";
pub(super) const LOOKUP_SEARCH: &str = "Chercher";
pub(super) const LOOKUP_EMPTY: &str = "Donnez au moins un mot : un nom, une profession, une structure ou une ville.";
pub(super) const LOOKUP_NOT_THERE: &str = "Cette recherche n’est pas possible ici : cherchez soit un professionnel par son nom, soit une \
                                           structure par son nom ou sa ville, sans profession.";
pub(super) const LOOKUP_AWAY: &str = "L’annuaire national ne peut pas être consulté. Réessayez dans quelques instants.";
pub(super) const LOOKUP_FOUND: &str = "Boîtes aux lettres trouvées";
pub(super) const LOOKUP_WHO: &str = "Qui";
pub(super) const LOOKUP_ADDRESS: &str = "Adresse MSSanté";
pub(super) const LOOKUP_ZERO_PAPER: &str = "Accepte le zéro papier";
pub(super) const LOOKUP_PAGES: &str = "Pages de résultats";
pub(super) const LOOKUP_BEFORE: &str = "Page précédente";
pub(super) const LOOKUP_AFTER: &str = "Page suivante";
pub(super) const LOOKUP_SAY_MORE: &str =
    "C’est la dernière page affichée. Si vous ne trouvez pas, ajoutez un mot à votre recherche.";

pub(super) fn found(total: usize, is_cut: bool) -> String {
    match (total, is_cut) {
        (0, _) => "Aucune boîte aux lettres ne correspond.".to_owned(),
        (1, false) => "Une boîte aux lettres correspond.".to_owned(),
        (total, false) => format!("{total} boîtes aux lettres correspondent."),
        (total, true) => format!("{total} boîtes aux lettres ou plus correspondent."),
    }
}

pub(super) fn known_from(taken_at: Option<i64>) -> String {
    match taken_at {
        Some(taken_at) => format!("D’après l’annuaire du {}.", day(taken_at)),
        None => "D’après l’annuaire à cet instant.".to_owned(),
    }
}

pub(super) fn page_of(page: usize, last: usize) -> String {
    format!("Page {page} sur {last}")
}

pub(super) fn too_many_searches(wait: Duration) -> String {
    format!("Vous avez fait beaucoup de recherches en peu de temps. Réessayez dans {}.", time(wait))
}

// ---- guide ----

pub(super) const GUIDE_TITLE: &str = "Réglages et aide";
pub(super) const GUIDE_SETTINGS: &str = "Réglages de la messagerie";
pub(super) const GUIDE_HOST: &str = "Serveur (réception et envoi)";
pub(super) const GUIDE_IMAP: &str = "Réception (IMAP, SSL/TLS)";
pub(super) const GUIDE_SUBMISSION: &str = "Envoi (SMTP, SSL/TLS)";
pub(super) const GUIDE_USER: &str = "Nom d’utilisateur";
pub(super) const GUIDE_AUTH: &str = "Authentification";
pub(super) const GUIDE_AUTH_VALUE: &str = "Mot de passe normal, avec le certificat du poste";
pub(super) const GUIDES: [(&str, &[&str]); 3] = [
    (
        "Thunderbird",
        &[
            "Téléchargez le certificat du poste et notez le mot de passe du fichier.",
            "Menu ☰, Paramètres, Vie privée et sécurité, Certificats, « Gérer les certificats… ».",
            "Onglet « Vos certificats », « Importer… » : choisissez le fichier et donnez son mot de passe.",
            "Si l’on vous demande quel certificat présenter : « En sélectionner un automatiquement ».",
            "Quittez Thunderbird et rouvrez-le : il présente le certificat à partir de sa prochaine ouverture.",
            "Menu ☰, Nouveau, Compte courrier : donnez votre nom, l’adresse et le mot de passe de la boîte. Les réglages sont trouvés \
             seuls ; sinon, recopiez ceux de cette page.",
            "Effacez le fichier du poste.",
        ],
    ),
    (
        "iPhone et iPad",
        &[
            "Ouvrez cette page avec Safari et téléchargez le certificat du poste.",
            "Réglages, « Profil téléchargé », Installer : donnez le code de l’appareil, puis le mot de passe du fichier.",
            "Réglages, Apps, Mail, Comptes, Ajouter un compte, Autre : donnez l’adresse et le mot de passe de la boîte, puis les \
             réglages de cette page.",
            "Dans le compte, Avancé, choisissez ce certificat comme identité si l’appareil le demande.",
        ],
    ),
    (
        "Android",
        &[
            "Téléchargez le certificat du poste avec le navigateur du téléphone.",
            "Paramètres, Sécurité, Chiffrement et identifiants, Installer un certificat, « Certificat utilisateur VPN et \
             applications » : choisissez le fichier et donnez son mot de passe.",
            "Dans une messagerie qui prend un certificat client (K-9 Mail, Thunderbird pour Android, FairEmail), ajoutez le compte, \
             choisissez « Certificat client » pour la réception et pour l’envoi, et recopiez les réglages de cette page.",
        ],
    ),
];

/// What was just done, by the name that a redirection carries.
pub(super) fn done(name: &str) -> Option<&'static str> {
    match name {
        "revoque" => Some("Le poste est révoqué : il n’ouvre plus la boîte aux lettres."),
        "conditions" => Some("Les conditions d’utilisation sont acceptées."),
        "mot-de-passe" => Some("Le mot de passe de la boîte aux lettres est changé."),
        _ => None,
    }
}

pub(super) fn throttled(wait: Duration) -> String {
    format!("Trop d’essais ont échoué. Réessayez dans {}.", time(wait))
}

pub(super) fn codes_locked(wait: Duration) -> String {
    format!("Trop de codes faux ont été donnés. Réessayez dans {}.", time(wait))
}

pub(super) fn too_many_mailed(wait: Duration) -> String {
    format!("Trop de codes ont été demandés. Réessayez dans {}.", time(wait))
}

pub(super) fn wrong_code(left: Option<u32>) -> String {
    match left {
        None => "Ce code est faux, déjà utilisé ou trop ancien.".to_owned(),
        Some(1) => "Ce code est faux. Il reste un essai.".to_owned(),
        Some(left) => format!("Ce code est faux. Il reste {left} essais."),
    }
}

pub(super) fn mailed_to(address: &str) -> String {
    format!("Un code peut vous être envoyé à votre adresse de notification ({address}).")
}

pub(super) fn too_many_devices(most: usize) -> String {
    format!("{most} postes sont déjà enregistrés : révoquez-en un d’abord.")
}

pub(super) fn bad_password(least: usize, most: usize) -> String {
    format!("Le mot de passe doit avoir au moins {least} caractères, et au plus {most} octets.")
}

pub(super) fn password_hint(least: usize) -> String {
    format!("Au moins {least} caractères ; une phrase convient bien.")
}

pub(super) fn recovery_left(left: usize) -> String {
    match left {
        0 => "Il ne reste aucun code de secours.".to_owned(),
        1 => "Il reste un code de secours.".to_owned(),
        left => format!("Il reste {left} codes de secours."),
    }
}

pub(super) fn app_since(date: &str) -> String {
    format!("Une application est en place depuis le {date}.")
}

pub(super) fn welcome(name: &str) -> String {
    format!("Bienvenue, {name}.")
}

pub(super) fn renew_label(name: &str) -> String {
    format!("Renouveler le poste {name}")
}

pub(super) fn revoke_label(name: &str) -> String {
    format!("Révoquer le poste {name}")
}

/// That a code is on its way, and for how long it is good.
pub(super) fn code_sent(lifetime: Duration) -> String {
    format!("Un code vient d’être envoyé. Il est valable {} et ne sert qu’une fois.", time(lifetime))
}

/// A duration for people: seconds below two minutes, minutes above, both rounded up.
fn time(wait: Duration) -> String {
    let seconds = wait.as_millis().div_ceil(1000).max(1);
    match seconds {
        1 => "une seconde".to_owned(),
        2..120 => format!("{seconds} secondes"),
        _ => format!("{} minutes", seconds.div_ceil(60)),
    }
}

/// A day, from Unix seconds: `25 novembre 2026` (UTC, which is the day in France but for an hour or two).
pub(super) fn day(seconds: i64) -> String {
    french_day(day_of(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_times_are_written_as_people_do() {
        assert_eq!(day(1_795_600_000), "25 novembre 2026");
        assert!(code_sent(Duration::from_secs(600)).contains("valable 10 minutes et"));
        for (seconds, text) in [(0, "une seconde"), (59, "59 secondes"), (120, "2 minutes"), (121, "3 minutes")] {
            assert_eq!(time(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn nobody_is_asked_to_do_something_by_a_day_that_is_over() {
        let until = 1_795_600_000;
        assert!(terms_until(until, until + 3_600).starts_with("Acceptez-les avant la fin du 25 novembre 2026"));
        let over = terms_until(until, until + 86_400);
        assert!(over.contains("le 25 novembre 2026, est passée") && !over.contains("avant"), "{over}");
    }
}
