//! What people read of their own data, in French. Grounds and times are our default, from operators' published terms of use
//! (MSSanté §5): the operator's data protection officer has the last word on them.

/// Which data, why, until when.
pub(super) const GROUNDS: [[&str; 3]; 10] = [
    [
        "Identification : identité, numéro national, structure, profession, adresse de la boîte aux lettres, adresse de notification, conditions d'utilisation acceptées",
        "Exécution du contrat (conditions d'utilisation, RGPD art. 6.1.b) et obligations de l'opérateur de l'espace de confiance MSSanté (art. 6.1.c)",
        "La vie de la boîte aux lettres et un an après sa clôture ; l'adresse elle-même n'est jamais attribuée à quelqu'un d'autre",
    ],
    [
        "Contenu de la boîte aux lettres : messages, dossiers",
        "Exécution du contrat (art. 6.1.b) ; le contenu est scellé, couvert par le secret médical et celui des correspondances, et n'est pas dans ce document : le titulaire l'emporte par l'export de sa boîte",
        "Jusqu'à ce que le titulaire l'efface, au plus tard à la clôture, qui détruit la clé de la boîte",
    ],
    [
        "Délégations : inscription sur la liste d'accès d'autres boîtes aux lettres",
        "Intérêt légitime du titulaire qui donne l'accès (art. 6.1.f)",
        "Jusqu'à leur retrait ou leur échéance",
    ],
    [
        "Moyens d'accès : noms et dates des postes enrôlés, mots de passe (condensat seulement), certificats, second facteur",
        "Sécurité du traitement (art. 32) et obligation d'authentification forte (art. 6.1.c)",
        "Jusqu'à leur retrait, leur échéance ou la clôture de la boîte",
    ],
    [
        "Journal de la vie des boîtes aux lettres : acceptations, suspensions, fermetures, par qui et pourquoi",
        "Obligation légale de traçabilité et preuve (art. 6.1.c, art. 17.3.b et e)",
        "Dix ans",
    ],
    [
        "Annuaire national : ce qui y est publié de la boîte aux lettres, et ce qui reste à y publier ou à en retirer",
        "Obligation de l'opérateur de l'espace de confiance MSSanté (art. 6.1.c)",
        "Jusqu'au retrait de la boîte de l'annuaire, à sa clôture",
    ],
    [
        "Avis par courriel ordinaire : ceux qui attendent, les réseaux de connexion connus (condensats)",
        "Sécurité du traitement (art. 32) et obligation d'informer le titulaire (art. 6.1.c)",
        "Les avis jusqu'à leur envoi ; les réseaux trois mois après la dernière connexion, au plus tard à la clôture",
    ],
    ["Sessions ouvertes", "Sécurité du traitement (art. 32)", "Leur durée, quatre heures au plus"],
    [
        "Traces fonctionnelles : qui, quand, quelle action, sur quelle boîte, depuis où ; jamais le contenu ni l'objet",
        "Obligation légale de traçabilité et preuve des échanges (art. 6.1.c, art. 17.3.b et e)",
        "Dix ans après la clôture de la boîte aux lettres",
    ],
    [
        "Indicateurs : les boîtes utilisées dans le mois",
        "Obligation de l'opérateur (art. 6.1.c)",
        "Trois mois, puis rendus anonymes : il n'en reste que des nombres",
    ],
];

pub(super) const TITLE: &str = "Données à caractère personnel";
pub(super) const RIGHTS: &str = "Ce document répond à une demande d'accès (RGPD art. 15). Vous pouvez demander la rectification de \
    ces données, et l'effacement de celles que l'opérateur n'est pas tenu de conserver.";

pub(super) const GRANT: &str = "Inscription sur la liste d'accès";
pub(super) const MEANS: &str = "Moyen d'accès";
pub(super) const DETAILS: &str =
    "Adresse de notification, renvoi, absence, notes et dernière connexion d'une boîte close";

pub(super) const LIVING: &str = "Boîte aux lettres en service";
pub(super) const LIVING_WHY: &str =
    "Les données sont nécessaires au contrat tant que la boîte n'est pas close (caducee mailbox close)";
pub(super) const IDENTIFICATION: &str = "Identification du titulaire d'une boîte close";
pub(super) const IDENTIFICATION_WHY: &str = "Conservée un an après la clôture ; l'adresse n'est jamais réattribuée";
pub(super) const RESPONSIBLE: &str = "Responsable d'une boîte de structure";
pub(super) const RESPONSIBLE_WHY: &str =
    "La boîte exige un responsable : en nommer un autre d'abord (caducee mailbox set)";
pub(super) const JOURNAL: &str = "Journal de la vie des boîtes aux lettres";
pub(super) const JOURNAL_WHY: &str = "Obligation légale et preuve (RGPD art. 17.3.b et e) : dix ans";
pub(super) const TRACES: &str = "Traces fonctionnelles";
pub(super) const TRACES_WHY: &str =
    "Obligation légale et preuve des échanges (RGPD art. 17.3.b et e) : dix ans après la clôture de la boîte";
