"""A browser for tests, of the standard library alone: cookies, forms, links, redirections; no script."""
import html.parser
import http.client
import ssl
import urllib.parse


class Page(html.parser.HTMLParser):
    """An answer: its status, headers, text, and what is on it by name and id."""

    VOID = {"meta", "link", "input", "br", "rect", "path", "hr", "img"}

    def __init__(self, url, status, headers, body):
        super().__init__(convert_charrefs=True)
        self.url, self.status, self.headers, self.body = url, status, headers, body
        self.forms, self.links, self.by_id, self.open = [], [], {}, []
        self.text, self.title, self.roles, self.scripts = "", "", {}, 0
        if "html" in self.header("content-type"):
            self.feed(body.decode())
            self.close()

    def header(self, name):
        return ", ".join(value for key, value in self.headers if key.lower() == name)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "script" or any(name.startswith("on") or name == "style" for name in attributes):
            self.scripts += 1
        if tag == "form":
            self.forms.append({"action": attributes.get("action", ""), "fields": {}, "buttons": []})
        if tag in ("input", "textarea", "button") and self.forms and attributes.get("name"):
            ticked = attributes.get("type") != "checkbox" or "checked" in attributes
            if tag == "button":
                self.forms[-1]["buttons"].append((attributes["name"], attributes.get("value", "")))
            elif ticked:
                self.forms[-1]["fields"][attributes["name"]] = attributes.get("value", "")
        if tag == "a":
            self.links.append(attributes.get("href", ""))
        if tag not in self.VOID:
            self.open.append((tag, attributes.get("id"), attributes.get("role")))

    def handle_endtag(self, tag):
        while self.open and self.open.pop()[0] != tag:
            pass

    def handle_data(self, data):
        if any(tag == "title" for tag, _, _ in self.open):
            self.title += data
            return
        self.text += data
        for _, id, role in self.open:
            if id:
                self.by_id[id] = self.by_id.get(id, "") + data
            if role:
                self.roles[role] = self.roles.get(role, "") + data

    def form(self, action):
        found = [form for form in self.forms if form["action"].split("?")[0] == action]
        assert found, f"no form to {action} on {self.url} ({self.status}):\n{self.text}"
        return found[0]


class Browser:
    def __init__(self, ca, source="127.0.0.1"):
        self.context = ssl.create_default_context(cafile=ca)
        self.source = source
        self.cookies = {}
        self.page = None
        self.seen = []

    def ask(self, url, data=None, headers=None, cookies=True, body=None):
        """One request, no redirection followed."""
        parts = urllib.parse.urlsplit(url)
        connection = http.client.HTTPSConnection(parts.hostname, parts.port, context=self.context, timeout=40,
                                                 source_address=(self.source, 0))
        sent = {"Host": parts.netloc, **(headers or {})}
        jar = self.cookies.get(parts.netloc, {})
        if cookies and jar:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in jar.items())
        if data is not None:
            body = urllib.parse.urlencode(data)
            sent.setdefault("Content-Type", "application/x-www-form-urlencoded")
            sent.setdefault("Origin", f"https://{parts.netloc}")
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request("GET" if body is None else "POST", path or "/", body, sent)
        answer = connection.getresponse()
        page = Page(url, answer.status, answer.getheaders(), answer.read())
        connection.close()
        for name, value in page.headers:
            if name.lower() == "set-cookie" and cookies:
                pair, *attributes = [part.strip() for part in value.split(";")]
                name, _, value = pair.partition("=")
                jar = self.cookies.setdefault(parts.netloc, {})
                jar[name] = value
                if "Max-Age=0" in attributes:
                    del jar[name]
        self.seen.append(page)
        return page

    def go(self, url, data=None, **more):
        """A request and where it leads."""
        url = urllib.parse.urljoin(self.page.url, url) if self.page else url
        page = self.ask(url, data, **more)
        for _ in range(10):
            if page.status not in (301, 302, 303, 307):
                break
            page = self.ask(urllib.parse.urljoin(page.url, page.header("location")))
        self.page = page
        return page

    def send(self, action, **fields):
        """Fills a form of the page in and sends it."""
        form = self.page.form(action)
        return self.go(form["action"] or self.page.url, {**form["fields"], **fields})

    def cookie(self, url):
        return self.cookies.get(urllib.parse.urlsplit(url).netloc, {}).get("__Host-caducee")
