/* What thunderbird.py asks of Thunderbird, run by Marionette in its main window: `arguments` are an action's name and its wishes.

   An action does what a hand would: it opens the folder in the folder pane, the message in the message pane, and sends from the
   compose window with the command behind its button. */
/* global MailServices, window, document, Services, ChromeUtils, Ci, Cc */
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
const folder = path => folders().find(f => decodeURI(f.URI).endsWith(`/${path}`));
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

const describe = header => ({
  id: header.messageId,
  subject: header.mime2DecodedSubject,
  author: header.mime2DecodedAuthor,
  read: header.isRead,
});

/** Presses Send in a compose window, and waits till it has sent, filed its copy and closed. */
async function send(composer, { attachment }) {
  await until("the compose window is ready", () => composer.gMsgCompose?.editor && !composer.gWindowLocked && composer.gCurrentIdentity);
  if (attachment) {
    const part = Cc["@mozilla.org/messengercompose/attachment;1"].createInstance(Ci.nsIMsgAttachment);
    part.url = `file://${attachment}`;
    part.name = attachment.split("/").at(-1);
    await composer.AddAttachments([part]);
  }
  composer.updateSendLock();
  composer.goUpdateCommand("cmd_sendNow");
  composer.goDoCommand("cmd_sendNow");
  await until("the message is sent and filed", () => composer.closed, 60);
}

/** The compose window that `opening` opens. */
async function composeWindow(opening) {
  const before = new Set(Services.wm.getEnumerator("msgcompose"));
  opening();
  return until("a compose window", () => [...Services.wm.getEnumerator("msgcompose")].find(w => !before.has(w) && w.gMsgCompose));
}

const actions = {
  /** Notes what each dialog says, and closes it: nobody is there to do so. */
  async watchDialogs() {
    window.dialogsSeen = [];
    Services.obs.addObserver(dialog => {
      const text = dialog.Dialog?.args?.text ?? dialog.document?.title ?? String(dialog);
      window.dialogsSeen.push(text);
      dialog.setTimeout(() => dialog.document.querySelector("dialog")?.cancelDialog(), 100);
    }, "common-dialog-loaded");
  },

  async dialogs() {
    return window.dialogsSeen;
  },

  /** The account, by the code behind Thunderbird's own account page. */
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
    return folders().map(f => ({ path: decodeURI(f.URI).split("/").slice(3).join("/"), messages: f.getTotalMessages(false) }));
  },

  /** Opens a folder, and waits till it holds as many messages as the server says that it does. */
  async open({ path, messages }) {
    await open(path);
    await until(`${messages} messages in ${path}`, () => headers(path).length >= messages);
    return headers(path).map(describe);
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

  async write({ to, subject, body, attachment }) {
    const fields = Cc["@mozilla.org/messengercompose/composefields;1"].createInstance(Ci.nsIMsgCompFields);
    Object.assign(fields, { to, subject, body });
    const parameters = Cc["@mozilla.org/messengercompose/composeparams;1"].createInstance(Ci.nsIMsgComposeParams);
    Object.assign(parameters, {
      composeFields: fields,
      identity: account().defaultIdentity,
      type: Ci.nsIMsgCompType.New,
      format: Ci.nsIMsgCompFormat.PlainText,
    });
    await send(await composeWindow(() => MailServices.compose.OpenComposeWindowWithParams(null, parameters)), { attachment });
  },

  /** Answers a message: the command behind the Reply button. */
  async reply({ path, id, attachment }) {
    const header = find(path, id);
    const composer = await composeWindow(() =>
      MailServices.compose.OpenComposeWindow(
        null, header, header.folder.getUriForMsg(header), Ci.nsIMsgCompType.ReplyToSender, Ci.nsIMsgCompFormat.Default,
        account().defaultIdentity, null, null));
    await send(composer, { attachment });
  },

  /** The command behind the Delete key: the message goes to Trash. */
  async remove({ path, id }) {
    await open(path);
    tab().selectMessage(find(path, id));
    await until("the message is selected", () => tab().gDBView.numSelected == 1);
    tab().commandController.doCommand("cmd_deleteMessage");
    await until("the message is gone", () => !find(path, id));
  },

  /** What Thunderbird complains of. */
  async complaints() {
    return Services.console.getMessageArray().map(String).filter(text => /imap|smtp|mailnews|compose|certificate|SEC_ERROR|SSL_ERROR/i.test(text));
  },
};

return actions[arguments[0]](arguments[1]);
