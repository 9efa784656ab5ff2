/* What thunderbird.py asks of Thunderbird, run by Marionette in its main window: `arguments` are an action's name and its wishes.

   An action does what a hand would: it opens the folder in the folder pane, the message in the message pane, and sends from the
   compose window with the command behind its button. */
/* global MailServices, window, document, Services, ChromeUtils, Components, Ci, Cc */
const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");

const pause = ms => new Promise(resolve => window.setTimeout(resolve, ms));

/** Waits till `probe` gives something, and gives that. */
async function until(what, probe, seconds = 30) {
  for (const end = Date.now() + seconds * 1000; ; await pause(50)) {
    let found;
    try {
      found = await probe();
    } catch (error) {
      // Half-built windows throw; the last reason is told when time is up.
      if (Date.now() > end) {
        throw new Error(`${what}: ${error}`);
      }
    }
    if (found) {
      return found;
    }
    if (Date.now() > end) {
      throw new Error(`${what}: not within ${seconds} s; ${JSON.stringify(window.dialogsSeen ?? [])}`);
    }
  }
}

const tab = () => document.getElementById("tabmail").currentAbout3Pane;
const account = () => MailServices.accounts.accounts.find(a => a.incomingServer.type == "imap");
const folders = () => account().incomingServer.rootFolder.descendants;
const folder = path => folders().find(f => f.parent.isServer && [f.name, f.URI.split("/").at(-1)].includes(path));
const headers = path => [...folder(path).messages];
const find = (path, id) => headers(path).find(header => header.messageId == id);

/** The folder in the folder pane: Thunderbird selects it on the server, and stays in IDLE there. */
async function open(path) {
  const wanted = await until(`folder ${path}`, () => folder(path));
  await until(`${path} in the folder pane`, () => {
    tab().displayFolder(wanted.URI);
    return tab().gFolder?.URI == wanted.URI && tab().gDBView;
  });
  return wanted;
}

const describe = header => ({ id: header.messageId, subject: header.mime2DecodedSubject });

/** A compose window fills itself bit by bit. */
const ready = composer =>
  until("the compose window is ready", () => composer.gLoadingComplete && composer.gMsgCompose.editor && !composer.gWindowLocked);

/** Presses Send in a compose window, and waits till it has sent, filed its copy and closed. */
async function send(composer, { attachment }) {
  await ready(composer);
  if (attachment) {
    const part = Cc["@mozilla.org/messengercompose/attachment;1"].createInstance(Ci.nsIMsgAttachment);
    part.url = `file://${attachment}`;
    part.name = attachment.split("/").at(-1);
    await composer.AddAttachments([part]);
  }
  await until("Send may be pressed", () => composer.defaultController.isCommandEnabled("cmd_sendNow"));
  const before = window.dialogsSeen.length;
  composer.defaultController.doCommand("cmd_sendNow");
  await until("the message is sent and filed", () => composer.closed || window.dialogsSeen.length > before, 60);
  if (!composer.closed) {
    throw new Error(window.dialogsSeen.at(-1));
  }
  return true;
}

/** The compose window that `opening` opens. */
async function composeWindow(opening) {
  const before = new Set(Services.wm.getEnumerator("msgcompose"));
  opening();
  return until("a compose window", () => [...Services.wm.getEnumerator("msgcompose")].find(w => !before.has(w) && w.gMsgCompose));
}

/** The compose window of a new message. */
async function newMessage({ to, subject, body }) {
  const fields = Cc["@mozilla.org/messengercompose/composefields;1"].createInstance(Ci.nsIMsgCompFields);
  Object.assign(fields, { to, subject, body });
  const parameters = Cc["@mozilla.org/messengercompose/composeparams;1"].createInstance(Ci.nsIMsgComposeParams);
  Object.assign(parameters, {
    composeFields: fields,
    identity: account().defaultIdentity,
    type: Ci.nsIMsgCompType.New,
    format: Ci.nsIMsgCompFormat.PlainText,
  });
  return composeWindow(() => MailServices.compose.OpenComposeWindowWithParams(null, parameters));
}

const actions = {
  /** Notes what each dialog says, and answers Cancel. */
  async watchDialogs() {
    window.dialogsSeen = [];
    Services.obs.addObserver(dialog => {
      window.dialogsSeen.push(dialog.Dialog.args.text);
      // By its own clock: that of the window below stands still meanwhile.
      dialog.setTimeout(() => dialog.document.getElementById("commonDialog").cancelDialog());
    }, "common-dialog-loaded");
    return true;
  },

  async dialogs() {
    return window.dialogsSeen;
  },

  /** Begins an action that may end in a dialog, which would end this script too: `outcome` tells what has become of it. */
  async begin({ what, wishes }) {
    window.outcome = "";
    actions[what](wishes).then(() => "done", String).then(outcome => (window.outcome = outcome));
    return true;
  },

  /** What has become of what was begun; empty while it goes on. */
  async outcome() {
    return window.outcome;
  },

  /** A PKCS#12 file, by the code behind Import in the certificate manager. */
  async importCertificate({ file, password }) {
    const pkcs12 = Cc["@mozilla.org/file/local;1"].createInstance(Ci.nsIFile);
    pkcs12.initWithPath(file);
    const code = Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB).importPKCS12File(pkcs12, password);
    return code == Ci.nsIX509CertDB.Success;
  },

  /** What would otherwise be written at the end. */
  async savePreferences() {
    Services.prefs.savePrefFile(null);
    return true;
  },

  /** Where what is written goes out from now on. */
  async setOutgoing({ port, socketType }) {
    const server = MailServices.outgoingServer.defaultServer;
    Object.assign(server.QueryInterface(Ci.nsISmtpServer), { port, socketType });
    // An old connection would be taken to the new door.
    server.closeCachedConnections();
    return true;
  },

  /** The account, by the code behind Thunderbird's own account page. New mail is looked for every ten hours: IDLE has to tell. */
  async addAccount({ address, name, password, incoming, outgoing }) {
    const { AccountConfig } = ChromeUtils.importESModule("resource:///modules/accountcreation/AccountConfig.sys.mjs");
    const { CreateInBackend } = ChromeUtils.importESModule("resource:///modules/accountcreation/CreateInBackend.sys.mjs");
    const config = new AccountConfig();
    config.identity = { realname: name, emailAddress: address };
    const common = { hostname: "localhost", username: address, password };
    Object.assign(config.incoming, common, { type: "imap", checkInterval: 600 }, incoming);
    Object.assign(config.outgoing, common, { type: "smtp", addThisServer: true }, outgoing);
    config.displayName = address;
    config.rememberPassword = true;
    const made = await CreateInBackend.createAccountInBackend(config);
    return { fcc: made.defaultIdentity.doFcc };
  },

  async folders() {
    return folders().map(f => f.URI.split("/").slice(3).join("/"));
  },

  /** Opens a folder, and waits till it shows so many messages. */
  async open({ path, messages }) {
    await open(path);
    await until(`${messages} messages in ${path}`, () => headers(path).length >= messages);
    return headers(path).map(describe);
  },

  /** The command behind Get Messages. */
  async getMessages({ path }) {
    const wanted = await open(path);
    const status = await new Promise(resolve =>
      wanted.getNewMessages(window.msgWindow, { onStartRunningUrl() {}, onStopRunningUrl: (_url, code) => resolve(code) }));
    if (!Components.isSuccessCode(status)) {
      throw new Error(`no messages: ${status.toString(16)}`);
    }
    return true;
  },

  /** What the folder shows now; the server is not asked. */
  async list({ path }) {
    return headers(path).map(describe);
  },

  /** Waits for a message in the folder on screen. Nothing is asked of the server here: it has to say so itself. */
  async await({ path, subject, seconds }) {
    const header = await until(`"${subject}" in ${path}`, () => headers(path).find(h => h.mime2DecodedSubject.includes(subject)), seconds);
    return describe(header);
  },

  /** Opens a message in the message pane. */
  async read({ path, id }) {
    await open(path);
    const header = find(path, id);
    const page = await until("the message pane", () => {
      tab().selectMessage(header);
      const about = tab().messageBrowser?.contentWindow;
      return about?.gMessage?.messageId == id && about.msgLoaded && about;
    });
    const browser = page.getMessagePaneBrowser();
    await until("the message's text", () => browser.contentDocument?.body?.textContent.trim());
    await until("the message is marked as read", () => header.isRead);
    return {
      text: browser.contentDocument.body.textContent,
      subject: page.document.getElementById("expandedsubjectBox").textContent,
      attachments: page.currentAttachments.map(part => part.name),
    };
  },

  async write({ attachment, ...message }) {
    return send(await newMessage(message), { attachment });
  },

  /** Saves a message as a draft, and closes its window. */
  async draft(message) {
    const composer = await newMessage(message);
    await ready(composer);
    const saved = new Promise(resolve => composer.addEventListener("aftersave", resolve, { once: true }));
    composer.defaultController.doCommand("cmd_saveAsDraft");
    await saved;
    await until("the draft is saved", () => !composer.gSaveOperationInProgress && !composer.gWindowLocked);
    composer.close();
    return until("the compose window is closed", () => composer.closed);
  },

  /** Closes what could not be sent. */
  async discard() {
    [...Services.wm.getEnumerator("msgcompose")].forEach(composer => composer.close());
    return until("no compose window is open", () => !Services.wm.getMostRecentWindow("msgcompose"));
  },

  /** Answers a message: the command behind the Reply button. */
  async reply({ path, id, attachment }) {
    const header = find(path, id);
    const composer = await composeWindow(() =>
      MailServices.compose.OpenComposeWindow(
        null, header, header.folder.getUriForMsg(header), Ci.nsIMsgCompType.ReplyToSender, Ci.nsIMsgCompFormat.Default,
        account().defaultIdentity, null, null));
    return send(composer, { attachment });
  },

  /** A star and a tag. */
  async mark({ path, id, keyword }) {
    const header = find(path, id);
    header.folder.markMessagesFlagged([header], true);
    header.folder.addKeywordsToMessages([header], keyword);
    return true;
  },

  async createFolder({ name }) {
    account().incomingServer.rootFolder.createSubfolder(name, window.msgWindow);
    return until("the folder is there", () => Boolean(folder(name)));
  },

  async move({ path, id, to }) {
    const header = find(path, id);
    MailServices.copy.copyMessages(header.folder, [header], folder(to), true, null, window.msgWindow, true);
    return until("the message has gone", () => !find(path, id));
  },

  /** The command behind the Delete key: the message goes to Trash. */
  async remove({ path, id }) {
    await open(path);
    await until("the message", () => find(path, id));
    tab().selectMessage(find(path, id));
    await until("the message is selected", () => tab().gDBView.numSelected == 1);
    tab().commandController.doCommand("cmd_deleteMessage");
    return until("the message is gone", () => !find(path, id));
  },

  /** What Thunderbird complains of. */
  async complaints() {
    return Services.console.getMessageArray().map(String).filter(text => /imap|smtp|mailnews|compose|certificate|SEC_ERROR|SSL_ERROR/i.test(text));
  },
};

return actions[arguments[0]](arguments[1]);
