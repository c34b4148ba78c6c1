// The live page. What comes from outside becomes text, never markup.
const EVERY = 1000, KEPT = 120, SHOWN = 200;   // ms, points of a plot, messages
const ALONE = "Only this process was asked.";
const byId = id => document.getElementById(id);
const number = new Intl.NumberFormat();
const total = counts => Object.values(counts ?? {}).reduce((sum, count) => sum + count, 0);
const shown = value => number.format(value >= 100 || Number.isInteger(value) ? Math.round(value) : Number(value.toFixed(1)));

const plots = [
  ["sockets", "Sockets", now => now.sockets],
  ["new", "New sockets per second", now => now.rates.accepted],
  ["sent", "Messages sent per second", now => now.rates.sent],
  ["delivered", "Delivered per second", now => now.rates.delivered],
  ["lost", "Lost per second", now => now.rates.lost],
  ["waiting", "Messages waiting", now => now.waiting],
].map(([id, label, read]) => ({id, label, read, values: []}));

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

for (const plot of plots) {
  const tile = element("div", undefined, {class: "tile"});
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  for (const [key, value] of [["viewBox", `0 0 ${KEPT - 1} 40`], ["preserveAspectRatio", "none"], ["aria-hidden", "true"]]) svg.setAttribute(key, value);
  plot.paths = ["area", "line"].map(name => {
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("class", name);
    svg.append(path);
    return path;
  });
  plot.value = element("dd", "–", {id: `plot-${plot.id}`});
  tile.append(element("dt", plot.label), plot.value, svg);
  byId("tiles").append(tile);
}

function draw(plot, value) {
  plot.values.push(value);
  if (plot.values.length > KEPT) plot.values.shift();
  const top = Math.max(...plot.values, 1), from = KEPT - plot.values.length;
  const line = plot.values.map((v, i) => `${i ? "L" : "M"}${from + i} ${(38 - 36 * v / top).toFixed(2)}`).join("");
  plot.paths[0].setAttribute("d", `${line}L${KEPT - 1} 40L${from} 40Z`);
  plot.paths[1].setAttribute("d", line);
  plot.value.textContent = shown(value);
}

// A cell is a number, a text or an element.
function fill(body, rows) {
  const focused = document.activeElement?.closest?.("tbody") === body ? document.activeElement.dataset.key : undefined;
  body.replaceChildren(...rows.map(cells => {
    const row = document.createElement("tr");
    for (const cell of cells) {
      const made = row.insertCell();
      if (cell instanceof Element) made.append(cell);
      else made.textContent = typeof cell === "number" ? shown(cell) : cell;
      if (typeof cell === "number") made.className = "number";
      else if (typeof cell === "string" && cell.length > 30) made.title = cell;
    }
    return row;
  }));
  if (focused) [...body.querySelectorAll("button")].find(button => button.dataset.key === focused)?.focus();
}

function link(text, key, act) {
  const button = element("button", text, {type: "button", class: "link"});
  button.dataset.key = key;
  button.addEventListener("click", act);
  return button;
}

const look = (kind, name) => link(name, `${kind} ${name}`, () => { byId("kind").value = kind; byId("name").value = name; find(kind, name); });

function up(seconds) {
  const s = Math.max(0, Math.floor(seconds)), d = Math.floor(s / 86400), pad = n => String(n).padStart(2, "0");
  return d ? `${d} d ${Math.floor(s % 86400 / 3600)} h` : `${Math.floor(s / 3600)}:${pad(Math.floor(s % 3600 / 60))}:${pad(s % 60)}`;
}

const why = counts => Object.entries(counts ?? {}).map(([reason, count]) => `${reason} ${shown(count)}`).join(", ") || "–";

// What is counted since a process began, and what it was at the last look
const before = new Map();
function rates(process) {
  const layers = Object.values(process.layers);
  const sum = read => layers.reduce((all, layer) => all + (read(layer) ?? 0), 0);
  const now = {at: process.at, began: process.began, accepted: process.connections.total ?? 0, sent: sum(one => one.sent),
    delivered: sum(one => one.delivered), lost: sum(one => total(one.dropped)), rate: {accepted: 0, sent: 0, delivered: 0, lost: 0}};
  const last = before.get(process.name);
  if (last?.began === now.began) {
    if (now.at === last.at) return last;
    if (now.at > last.at) for (const key in now.rate) now.rate[key] = Math.max(0, now[key] - last[key]) / (now.at - last.at);
  }
  before.set(process.name, now);
  return now;
}

function show(now) {
  const sum = {sockets: 0, waiting: 0, rates: {accepted: 0, sent: 0, delivered: 0, lost: 0}};
  const groups = new Map(), layers = new Map(), slow = [], processes = [], resumable = [];
  const silent = now.processes.filter(one => !one.has).length;
  for (const one of now.processes) {
    const counted = rates(one), has = one.has ?? {};
    const depth = Object.values(one.layers).reduce((all, layer) => all + (layer.depth ?? 0), 0);
    const away = Object.entries(one.layers).filter(([, layer]) => (layer.gaps ?? []).some(gap => gap.ended === null)).map(([alias]) => alias);
    const sockets = has.sockets ?? one.connections.current ?? 0;
    sum.sockets += sockets;
    sum.waiting += depth;
    for (const key in sum.rates) sum.rates[key] += counted.rate[key];
    processes.push([one.name, up(one.at - one.began), sockets, has.users ?? "–", has.groups ?? "–", counted.rate.sent, counted.rate.delivered, counted.lost, depth, away.join(", ") || "–"]);
    for (const [group, count] of has.largest ?? []) groups.set(group, (groups.get(group) ?? 0) + count);
    for (const socket of has.slow ?? []) slow.push(socket);
    for (const [alias, layer] of Object.entries(one.layers)) {
      const all = layers.get(alias) ?? {sent: 0, delivered: 0, recorded: 0, replayed: 0, outages: 0, dropped: {}};
      for (const key of ["sent", "delivered"]) all[key] += layer[key] ?? 0;
      for (const key of ["recorded", "replayed"]) all[key] += layer.history?.[key] ?? 0;
      all.outages += (layer.gaps ?? []).length;
      for (const [reason, count] of Object.entries(layer.dropped ?? {})) all.dropped[reason] = (all.dropped[reason] ?? 0) + count;
      layers.set(alias, all);
    }
    const back = one.resumable ?? {};
    if (back.live || back.parked || back.resumed || total(back.lost)) resumable.push([one.name, back.live, back.parked, back.resumed, why(back.lost)]);
  }
  const names = new Set(now.processes.map(one => one.name));
  for (const name of before.keys()) if (!names.has(name)) before.delete(name);
  byId("seen").textContent = now.whole
    ? `${now.processes.length} ${now.processes.length === 1 ? "process" : "processes"}${silent ? `, ${silent} of them silent` : ""}`
    : "this process alone: no layer is on a Redis that answers";
  for (const plot of plots) draw(plot, plot.read(sum));
  fill(byId("processes"), processes);
  const largest = [...groups].sort((a, b) => b[1] - a[1]).slice(0, 20);
  fill(byId("groups"), largest.map(([group, count]) => [look("group", group), count]));
  byId("no-groups").hidden = largest.length > 0;
  slow.sort((a, b) => b.waiting - a.waiting);
  fill(byId("slow"), slow.slice(0, 20).map(one => [one.channel ? look("channel", one.channel) : "–", one.consumer, one.user ? look("user", one.user) : "–", one.waiting]));
  byId("no-slow").hidden = slow.length > 0;
  fill(byId("layers"), [...layers].map(([alias, one]) => [alias, one.sent, one.delivered, one.recorded, one.replayed, one.outages, why(one.dropped)]));
  fill(byId("resumable"), resumable);
  byId("resumable-section").hidden = resumable.length === 0;
}

function say(state, text) { byId("state").dataset.state = state; byId("state").textContent = text; }
function complain(text) { byId("problem").hidden = !text; byId("problem").textContent = text ?? ""; }

// Return what the server answers; its own words if it refuses.
async function ask(path, options) {
  const answer = await fetch(path, options), type = answer.headers.get("content-type") ?? "";
  if (answer.ok && (answer.redirected || !type.startsWith("application/json"))) throw new Error("Who looks is not known any more: reload the page");
  const content = type.startsWith("application/json") ? await answer.json() : {problem: type.startsWith("text/plain") ? (await answer.text()).trim() : ""};
  if (!answer.ok) throw new Error(content.problem || `The server answers ${answer.status}`);
  return content;
}
const order = content => ask("close", {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(content)});

let asking = false, lost = "";
async function refresh() {
  if (asking || document.visibilityState === "hidden") return;
  asking = true;
  try {
    show(await ask("now"));
    say("live", "Live");
    if (lost && byId("problem").textContent === lost) complain();
    lost = "";
  } catch (error) {
    say("lost", "Not connected. Trying again…");
    if (!(error instanceof TypeError)) complain(lost = error.message);   // a TypeError is a network that is away
  }
  asking = false;
}

let result = null, asked = 0;
async function find(kind, name) {
  const turn = ++asked;
  complain();
  let answer, problem;
  try { answer = await ask(`find?${new URLSearchParams({[kind]: name})}`); } catch (error) { problem = error.message; }
  if (turn !== asked) return;   // another name has been asked for since
  if (problem) return complain(problem);
  result = answer;
  const {count, sockets, people, silent, whole} = result;
  byId("result").hidden = false;
  byId("found").textContent = `${shown(count)} ${count === 1 ? "socket" : "sockets"} of ${kind} “${name}”` + (count > sockets.length ? `, the first ${sockets.length}:` : "");
  byId("people").textContent = (people ? `${shown(people.count)} present: ${people.first.join(", ")}${people.count > people.first.length ? ", …" : ""}. ` : "")
    + (whole ? "" : ALONE) + (silent.length ? `No answer from ${silent.join(", ")}.` : "");
  byId("watch").hidden = kind !== "group";
  byId("close-all").hidden = count === 0;
  fill(byId("sockets"), sockets.map(one => [one.user ? look("user", one.user) : "–", one.path, one.consumer, one.process + (one.parked ? " (parked)" : ""), one.waiting,
    one.groups.join(", ") + (one.in_groups > one.groups.length ? ", …" : ""),
    one.channel ? link("Close…", `close ${one.channel}`, () => close("channel", one.channel)) : ""]));
}

const dialog = byId("confirm");
function confirmed(question) {
  byId("question").textContent = question;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise(done => dialog.addEventListener("close", () => done(dialog.returnValue === "yes"), {once: true}));
}

async function close(kind, name) {
  complain();
  try {
    const {count, confirm, silent, whole} = await order({kind, name});
    const some = !whole ? ` ${ALONE}` : silent.length ? ` ${silent.join(", ")} did not answer, and may have more.` : "";
    if (!await confirmed(`Close ${shown(count)} ${count === 1 ? "socket" : "sockets"} of ${kind} “${name}”?${some}`)) return;
    const done = await order({confirm});
    byId("state").textContent = `Closed ${shown(done.count)}`;
    setTimeout(() => result && find(result.kind, result.name), 300);
  } catch (error) { complain(error.message); }
}

let source = null;
function stop() {
  source?.close();
  source = null;
  byId("watching").hidden = true;
}
function note(...parts) {
  const list = byId("messages"), atEnd = list.scrollTop + list.clientHeight >= list.scrollHeight - 20;
  const line = document.createElement("li");
  line.append(...parts);
  list.append(line);
  while (list.children.length > SHOWN) list.firstChild.remove();
  if (atEnd) list.scrollTop = list.scrollHeight;
}
function watch(group) {
  stop();
  byId("watching").hidden = false;
  byId("watched").textContent = `Messages to “${group}”`;
  byId("messages").replaceChildren();
  source = new EventSource(`watch?${new URLSearchParams({group})}`);
  let times = 0;
  source.onopen = () => { if (times++) note(element("span", "Watching again: messages may be missing", {class: "note"})); };
  source.onmessage = event => note(element("time", new Date().toLocaleTimeString()), ` ${event.data}`);
  source.addEventListener("skipped", event => note(element("span", `${shown(Number(event.data))} more, not shown`, {class: "note"})));
  source.onerror = () => { if (source?.readyState === EventSource.CLOSED) { stop(); complain(`“${group}” cannot be watched now`); } };
}

byId("search").addEventListener("submit", event => { event.preventDefault(); find(byId("kind").value, byId("name").value.trim()); });
byId("watch").addEventListener("click", () => watch(result.name));
byId("stop").addEventListener("click", stop);
byId("close-all").addEventListener("click", () => close(result.kind, result.name));
document.addEventListener("visibilitychange", refresh);
setInterval(refresh, EVERY);
refresh();
