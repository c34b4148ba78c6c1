// Draws an AsyncAPI 3.0 document, and opens sockets to try it. No library, no other request than those sockets.

const { document: doc, links } = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const MAX_FRAMES = 300;

/** An element: h("p.soft", {title: "…"}, "text", child, …). Strings become text, never markup. */
function h(spec, attributes = {}, ...children) {
  const [tag, ...classes] = spec.split(".");
  const element = document.createElement(tag || "div");
  if (classes.length) element.className = classes.join(" ");
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value == null) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && name !== "list") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child != null && child !== false));
  return element;
}

function at(reference) {
  return reference
    .slice(2)
    .split("/")
    .reduce((value, key) => value?.[key.replaceAll("~1", "/").replaceAll("~0", "~")], doc);
}

const resolved = (value) => (value?.$ref ? resolved({ ...at(value.$ref), ...omit(value, "$ref") }) : value);
const omit = (object, key) => Object.fromEntries(Object.entries(object).filter(([name]) => name !== key));
const messagesOf = (holder) => (holder?.messages ?? []).map(resolved);
const entries = (object) => Object.entries(object ?? {});
const arrow = (way) => h(`span.way.${way}`, { "aria-hidden": "true" }, way === "up" ? "↑" : "↓");

// The document as this page reads it: channels with what clients send ("up") and what comes by itself ("down")

const channels = entries(doc.channels).map(([id, channel]) => ({
  id,
  ...channel,
  tags: (channel.tags ?? []).map((tag) => resolved(tag).name),
  topic: channel["x-topic"],
  operations: entries(doc.operations)
    .filter(([, operation]) => operation.channel.$ref === `#/channels/${id}`)
    .map(([key, operation]) => ({
      ...operation,
      key,
      way: operation.action === "receive" ? "up" : "down",
      own: messagesOf(operation),
      answers: messagesOf(operation.reply),
      tags: (operation.tags ?? []).map((tag) => resolved(tag).name),
    })),
}));

// JSON, and schemas, to read

function pretty(value) {
  const text = JSON.stringify(value, null, 2);
  const pre = h("pre", { tabIndex: 0 });
  const token = /("(?:[^"\\]|\\.)*")(\s*:)?|\b(true|false|null)\b|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
  let last = 0;
  for (const match of text.matchAll(token)) {
    pre.append(text.slice(last, match.index));
    const [whole, string, colon, word] = match;
    const kind = colon ? "key" : string ? "string" : word ? "word" : "number";
    pre.append(h(`span.${kind}`, {}, string ?? whole), colon ?? "");
    last = match.index + whole.length;
  }
  pre.append(text.slice(last));
  return pre;
}

function kindOf(schema) {
  schema = resolved(schema) ?? {};
  if ("const" in schema) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((one) => JSON.stringify(one)).join(" | ");
  const options = schema.oneOf ?? schema.anyOf;
  if (options) return [...new Set(options.map(kindOf))].join(" | ");
  if (schema.allOf?.length === 1) return kindOf(schema.allOf[0]);
  if (schema.type === "array") {
    const items = Array.isArray(schema.items) ? schema.items.map(kindOf).join(", ") : kindOf(schema.items);
    return `array of ${items || "anything"}`;
  }
  const name = schema.type === "object" && schema.properties ? (schema.title ?? "object") : (schema.type ?? "any");
  const kind = Array.isArray(name) ? name.join(" | ") : name;
  return schema.format ? `${kind} (${schema.format})` : kind;
}

const LIMITS = {
  minLength: "at least % characters",
  maxLength: "at most % characters",
  minimum: "≥ %",
  exclusiveMinimum: "> %",
  maximum: "≤ %",
  exclusiveMaximum: "< %",
  multipleOf: "a multiple of %",
  minItems: "at least % items",
  maxItems: "at most % items",
  pattern: "matches %",
};

function limitsOf(schema) {
  const inner = [schema, ...(schema.anyOf ?? []), ...(schema.oneOf ?? [])].map(resolved);
  const limits = inner.flatMap((one) =>
    Object.keys(LIMITS).filter((key) => key in one).map((key) => LIMITS[key].replace("%", one[key])),
  );
  if ("default" in schema && schema.default !== undefined) limits.push(`default ${JSON.stringify(schema.default)}`);
  return [...new Set(limits)].join(", ");
}

/** The schemas with properties inside a schema: itself, its alternatives, its items. */
function objectsIn(schema) {
  schema = resolved(schema) ?? {};
  if (schema.properties) return [schema];
  const inside = [...(schema.oneOf ?? []), ...(schema.anyOf ?? []), ...(schema.allOf ?? [])];
  if (schema.items) inside.push(...[schema.items].flat());
  if (schema.additionalProperties?.$ref || schema.additionalProperties?.type) inside.push(schema.additionalProperties);
  return inside.flatMap(objectsIn);
}

function fields(schema, above = []) {
  const required = schema.required ?? [];
  return h(
    "ul.fields",
    {},
    entries(schema.properties).map(([name, raw]) => {
      const inner = resolved(raw);
      const nested = objectsIn(raw).filter((one) => !above.includes(one.title));
      const limits = limitsOf(inner);
      return h(
        "li.field",
        {},
        h("span.name", {}, name),
        " ",
        h("span.kind", {}, kindOf(raw)),
        required.includes(name) && [" ", h("span.must", {}, "required")],
        limits && [" ", h("span.kind", {}, `· ${limits}`)],
        inner.description && !nested.length && h("span.says", {}, inner.description),
        nested.map((one) => fields(one, [...above, schema.title])),
      );
    }),
  );
}

function drawMessage(message) {
  const example = message.examples?.[0]?.payload;
  const schema = resolved(message.payload);
  return h(
    ".message",
    {},
    h("h4", {}, h("code", {}, message.title ?? message.name), message.summary && h("span.soft", {}, message.summary)),
    h(".pair", {}, fields(schema), example === undefined ? "" : pretty(example)),
  );
}

// The page

function chip(tag) {
  return h("span.chip", {}, tag);
}

function drawOperation(channel, operation) {
  const names = operation.own.map((message) => message.name).join(" | ");
  const event = operation["x-event"];
  const body = h(".body");
  const details = h(
    "details.operation",
    { id: operation.key, ontoggle: () => details.open && fill() },
    h(
      "summary",
      {},
      h(`span.badge.${operation.way}`, {}, operation.way === "up" ? "client → server" : "server → client"),
      h(
        "span.label",
        {},
        h("strong", {}, names),
        operation.summary && h("span.soft", {}, operation.summary),
        operation.tags.map(chip),
      ),
    ),
    body,
  );
  function fill() {
    if (body.childElementCount) return;
    if (operation.description) body.append(h("p.prose", {}, operation.description));
    if (event) body.append(h("p.soft", {}, "When the event ", h("code", {}, event), " reaches the consumer."));
    body.append(...operation.own.map(drawMessage));
    if (operation.answers.length) {
      const title = h("h3", {}, operation.answers.length > 1 ? "Answered with one of" : "Answered with");
      body.append(h(".answer", {}, title, operation.answers.map(drawMessage)));
    }
  }
  return details;
}

function drawAddress(address) {
  const parts = address.split(/(\{\w+\})/);
  return h("code.where", {}, parts.map((part) => (part.startsWith("{") ? h("span.param", {}, part) : part)));
}

function drawChannel(channel) {
  const ups = channel.operations.filter((one) => one.way === "up");
  const downs = channel.operations.filter((one) => one.way === "down");
  const parameters = entries(channel.parameters).filter(([, one]) => one.description);
  const security = channel.operations.flatMap((one) => one.security ?? []).map(resolved);
  const schemes = [...new Map(security.map((one) => [one.name, one])).values()];
  return h(
    "section.channel",
    { id: `channel-${channel.id}`, "aria-labelledby": `title-${channel.id}` },
    h(
      "header",
      {},
      h("h2", { id: `title-${channel.id}` }, channel.id, h("span.chips", {}, channel.tags.map(chip))),
      h("p", {}, drawAddress(channel.address)),
      channel.topic && topicNote(channel),
      channel.description && h("p.prose", {}, channel.description),
      parameters.map(([name, one]) => h("p.soft", {}, h("code", {}, name), `: ${one.description}`)),
      schemes.length > 0 &&
        h("p.soft", {}, "Needs ", schemes.map((one, i) => [i ? " or " : "", h("code", {}, one.name), ` (${one.in})`])),
    ),
    drawTry(channel, ups),
    ups.length > 0 && h("div", {}, h("h3", {}, "Clients send"), ups.map((one) => drawOperation(channel, one))),
    downs.length > 0 && h("div", {}, h("h3", {}, "The server sends"), downs.map((one) => drawOperation(channel, one))),
  );
}

function topicNote(channel) {
  const pattern = h("code", {}, channel.topic.pattern);
  if (channel.topic.default) return h("p.soft", {}, "The topic ", pattern, ", subscribed to by connecting.");
  return h("p.soft", {}, "A topic of ", h("code", {}, channel.topic.channel), ": each message carries ",
    h("code", {}, `"topic": "${channel.topic.pattern}"`), ", after a subscribe.");
}

// Trying it: one socket per channel

function base() {
  const [server] = Object.values(doc.servers ?? {}).map(resolved);
  const scheme = server?.protocol ?? (location.protocol === "https:" ? "wss" : "ws");
  const host = (server?.host ?? location.host) || "localhost";
  return `${scheme}://${host}${server?.pathname ?? ""}`;
}

function drawTry(channel, ups) {
  const state = { socket: null };
  const names = [...channel.address.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
  const topicNames = channel.topic && !channel.topic.default ? channel.topic.parameters : [];
  const inputs = Object.fromEntries(
    [...names, ...topicNames].map((name) => [name, h("input", { spellcheck: false, autocomplete: "off", oninput: retarget })]),
  );
  const query = h("input", { spellcheck: false, autocomplete: "off", placeholder: "token=…", oninput: retarget });
  const target = h("p.target");
  const status = h("span.status", { role: "status" });
  const connect = h("button", { type: "button", onclick: () => (state.socket ? state.socket.close(1000) : open()) });
  const choice = h("select", { onchange: choose });
  const editor = h("textarea", { spellcheck: false, "aria-label": "Message as JSON", oninput: () => check() });
  const send = h("button.primary", { type: "submit" }, "Send");
  const empty = h("p.empty", {}, "Frames appear here, newest last.");
  const log = h(".log", { role: "log", "aria-label": `Frames of ${channel.id}`, tabIndex: 0 }, empty);
  const choices = ups.flatMap((operation) => operation.own);

  choices.forEach((message, index) => choice.append(new Option(message.name, index)));

  const fill = (text, escape) =>
    text.replace(/\{(\w+)\}/g, (whole, name) => (inputs[name]?.value ? escape(inputs[name].value) : whole));

  function url() {
    const search = query.value.trim().replace(/^\?/, "");
    return base() + fill(channel.address, encodeURIComponent) + (search ? `?${search}` : "");
  }

  function retarget() {
    target.textContent = url();
  }

  function choose() {
    const message = choices[choice.value];
    if (!message) return;
    let example = message.examples?.[0]?.payload ?? { [channel["x-discriminator"] ?? "action"]: message.name };
    if (topicNames.length || (channel.topic && !channel.topic.default)) {
      example = { version: 1, topic: fill(channel.topic.pattern, String), ...example };
    }
    editor.value = JSON.stringify(example, null, 2);
    check();
  }

  function check() {
    try {
      JSON.parse(editor.value);
      editor.removeAttribute("aria-invalid");
    } catch {
      editor.setAttribute("aria-invalid", "true"); // it may be sent all the same: see what the server says
    }
  }

  function show(way, text, bad = false) {
    empty.remove();
    let shown = text;
    try {
      shown = JSON.stringify(JSON.parse(text), null, 1);
      if (shown.length < 90) shown = shown.replace(/\n\s*/g, " ");
    } catch { /* as it is */ }
    const time = new Date().toLocaleTimeString([], { hour12: false });
    const mark = way === "note" ? h("span.way", { "aria-hidden": "true" }, "·") : arrow(way);
    const atEnd = log.scrollTop + log.clientHeight > log.scrollHeight - 40;
    log.append(h(`.frame.${way}${bad ? ".bad" : ""}`, {}, mark, h("code", {}, shown), h("time", {}, time)));
    while (log.childElementCount > MAX_FRAMES) log.firstElementChild.remove();
    if (atEnd) log.scrollTop = log.scrollHeight;
  }

  function become(name, words) {
    status.dataset.state = name;
    status.textContent = words;
    connect.textContent = state.socket ? "Disconnect" : "Connect";
  }

  function open() {
    const missing = names.find((name) => !inputs[name].value);
    if (missing) {
      inputs[missing].focus();
      become("closed", `${missing} is empty`);
      return null;
    }
    let socket;
    try {
      socket = new WebSocket(url());
    } catch (error) {
      show("note", String(error), true);
      return null;
    }
    state.socket = socket;
    become("connecting", "connecting");
    socket.onopen = () => become("open", "open");
    socket.onmessage = ({ data }) => {
      const text = typeof data === "string" ? data : "(binary)";
      show("down", text, /"action"\s*:\s*"error"/.test(text));
    };
    socket.onclose = ({ code, reason }) => {
      if (state.socket !== socket) return;
      state.socket = null;
      become("closed", "closed");
      show("note", `closed with ${code}${reason ? ` (${reason})` : ""}`, code !== 1000);
    };
    return socket;
  }

  function submit(event) {
    event.preventDefault();
    const text = editor.value;
    const socket = state.socket ?? open();
    if (!socket) return;
    const now = () => {
      socket.send(text);
      show("up", text);
    };
    if (socket.readyState === WebSocket.OPEN) now();
    else socket.addEventListener("open", now, { once: true });
  }

  const labelled = (text, control) => h("label", {}, text, control);
  const panel = h(
    "form.panel",
    { onsubmit: submit },
    h(
      ".settings",
      {},
      entries(inputs).map(([name, input]) => labelled(name, input)),
      labelled("query string", query),
      connect,
    ),
    target,
    h(
      ".bench",
      {},
      h(
        ".write",
        {},
        choices.length > 0 && labelled("message", choice),
        editor,
        h(".buttons", {}, send, h("span.soft", {}, "Ctrl + Enter")),
      ),
      h(
        "div",
        {},
        log,
        h(".buttons", {}, h("button", { type: "button", onclick: () => log.replaceChildren(empty) }, "Clear")),
      ),
    ),
  );
  editor.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) panel.requestSubmit();
  });
  for (const input of Object.values(inputs)) input.addEventListener("input", choose);
  retarget();
  choose();
  become("", "not connected");
  return h("details.try", {}, h("summary", {}, "Try it", status), panel);
}

// The side

function drawNav() {
  return channels.map((channel) =>
    h(
      "section",
      { "data-channel": channel.id },
      h("h2", {}, h("a", { href: `#channel-${channel.id}` }, channel.id)),
      h("span.address.mono", {}, channel.address),
      h(
        "ul",
        {},
        channel.operations.map((one) =>
          h(
            "li",
            { "data-operation": one.key },
            h(
              "a",
              { href: `#${one.key}` },
              arrow(one.way),
              h("span.unseen", {}, one.way === "up" ? "clients send " : "server sends "),
              one.own.map((message) => message.name).join(" | "),
            ),
          ),
        ),
      ),
    ),
  );
}

const wanted = { text: "", tag: null };

function matches(words, ...texts) {
  const all = texts.flat().filter(Boolean).join(" ").toLowerCase();
  return words.every((word) => all.includes(word));
}

function filter() {
  const words = wanted.text.toLowerCase().split(/\s+/).filter(Boolean);
  let found = 0;
  for (const channel of channels) {
    const tagged = !wanted.tag || channel.tags.includes(wanted.tag);
    const itself = matches(words, channel.id, channel.address, channel.description, channel.tags);
    let any = false;
    for (const one of channel.operations) {
      const titles = one.own.concat(one.answers).flatMap((message) => [message.name, message.title]);
      const there = tagged || one.tags.includes(wanted.tag);
      const shown = there && (itself || matches(words, one.summary, one.description, titles, one.tags));
      any ||= shown;
      document.querySelector(`[data-operation="${one.key}"]`).hidden = !shown;
      $(one.key).hidden = !shown;
    }
    const shown = any || (tagged && itself);
    found += shown;
    document.querySelector(`[data-channel="${channel.id}"]`).hidden = !shown;
    $(`channel-${channel.id}`).hidden = !shown;
  }
  $("nothing").hidden = found > 0;
}

function drawTags() {
  const tags = [...new Set(channels.flatMap((one) => [...one.tags, ...one.operations.flatMap((op) => op.tags)]))];
  return tags.map((tag) =>
    h("button.chip", {
      type: "button",
      "aria-pressed": "false",
      onclick: ({ currentTarget }) => {
        wanted.tag = wanted.tag === tag ? null : tag;
        for (const other of $("tags").children) other.setAttribute("aria-pressed", "false");
        currentTarget.setAttribute("aria-pressed", String(wanted.tag === tag));
        filter();
      },
    }, tag),
  );
}

function openTarget() {
  const target = location.hash.length > 1 ? $(decodeURIComponent(location.hash.slice(1))) : null;
  for (const link of document.querySelectorAll("nav a[aria-current]")) link.removeAttribute("aria-current");
  if (!target) return;
  document.querySelector(`nav a[href="#${CSS.escape(target.id)}"]`)?.setAttribute("aria-current", "true");
  if (target.tagName === "DETAILS") target.open = true;
  target.scrollIntoView();
}

const { info } = doc;
$("side-title").textContent = info.title;
$("nav").append(...drawNav());
$("tags").append(...drawTags());
$("find").addEventListener("input", ({ target }) => {
  wanted.text = target.value;
  filter();
});
$("main").append(
  h(
    ".page",
    {},
    h(
      ".intro",
      {},
      h("h1", {}, info.title),
      info.description && h("p.prose", {}, info.description),
      h(
        "p.facts",
        {},
        h("span", {}, "Version ", h("b", {}, info.version)),
        h("span", {}, "Server ", h("b.mono", {}, base())),
        h("span", {}, "AsyncAPI ", h("b", {}, doc.asyncapi)),
        entries(links).map(([label, href]) => h("a", { href }, label)),
      ),
      channels.length === 0 && h("p.soft", {}, "This application serves no typed consumers yet."),
    ),
    channels.map(drawChannel),
  ),
);
addEventListener("hashchange", openTarget);
openTarget();
