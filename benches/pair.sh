#!/usr/bin/env bash
# The pair to stand beside: Debian's Postfix + Dovecot (sdbox) on loopback, mutual TLS in, LMTP to Dovecot.
# usage: pair.sh DIR PKI SMTP_PORT IMAPS_PORT DOMAIN   (start) | pair.sh stop DIR
set -eu
if [ "$1" = stop ]; then D=$2; postfix -c "$D/postfix" stop 2>/dev/null || true; doveadm -c "$D/dovecot.conf" stop 2>/dev/null || true; exit 0; fi
D=$(realpath -m "$1") PKI=$(realpath "$2") SP=$3 IP=$4 DOM=$5
mkdir -p "$D/postfix" "$D/queue" "$D/data" "$D/mail" "$D/run"
chown postfix "$D/data"; id vmail >/dev/null 2>&1 || useradd -r -M -s /usr/sbin/nologin vmail; chown vmail "$D/mail"; chmod 755 "$D" "$D/run"
cat > "$D/postfix/main.cf" <<C
compatibility_level = 3.6
queue_directory = $D/queue
data_directory = $D/data
mail_owner = postfix
setgid_group = postdrop
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mx.$DOM
mydestination =
mynetworks =
virtual_mailbox_domains = $DOM
virtual_mailbox_maps = static:ok
virtual_transport = lmtp:unix:$D/run/lmtp
smtpd_relay_restrictions = reject_unauth_destination
smtpd_tls_security_level = encrypt
smtpd_tls_req_ccert = yes
smtpd_tls_ask_ccert = yes
smtpd_tls_ccert_verifydepth = 3
smtpd_tls_cert_file = $PKI/server.chain.pem
smtpd_tls_key_file = $PKI/server.key
smtpd_tls_CAfile = $PKI/ca.pem
smtpd_tls_mandatory_protocols = >=TLSv1.2
tls_random_source = dev:/dev/urandom
message_size_limit = 36700160
mailbox_size_limit = 0
virtual_mailbox_limit = 0
smtpd_client_connection_count_limit = 0
default_process_limit = 100
lmtp_destination_concurrency_limit = 20
maillog_file = /var/log/pair-postfix.log
alias_maps =
C
cp /usr/share/postfix/master.cf.dist "$D/postfix/master.cf"
sed -i "s/^smtp      inet .*/127.0.0.1:$SP inet n - n - - smtpd/; s/^\(\S\+\s\+\S\+\s\+\S\+\s\+\S\+\s\+\)y\(\s\)/\1n\2/" "$D/postfix/master.cf"
cat > "$D/dovecot.conf" <<C
base_dir = $D/run
state_dir = $D/run
log_path = $D/dovecot.log
protocols = imap lmtp
listen = 127.0.0.1
ssl = required
ssl_cert = <$PKI/server.chain.pem
ssl_key = <$PKI/server.key
mail_location = sdbox:$D/mail/%n
mail_uid = vmail
mail_gid = vmail
first_valid_uid = 1
auth_mechanisms = plain login
disable_plaintext_auth = no
passdb {
  driver = static
  args = password=secret
}
userdb {
  driver = static
  args = uid=vmail gid=vmail home=$D/mail/%n allow_all_users=yes
}
service imap-login {
  inet_listener imap { 
    port = 0
  }
  inet_listener imaps {
    port = $IP
    ssl = yes
  }
  process_limit = 2000
  client_limit = 2000
}
service imap {
  process_limit = 3000
}
service anvil { 
  client_limit = 8000
}
service auth {
  client_limit = 8000
}
service lmtp {
  unix_listener lmtp {
    mode = 0666
  }
}
mail_max_userip_connections = 5000
namespace inbox {
  inbox = yes
  separator = /
}
C
postfix -c "$D/postfix" start && dovecot -c "$D/dovecot.conf"
