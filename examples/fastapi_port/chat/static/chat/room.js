// One room: the conversation, who is here, and the way to the other rooms.

import { Log } from "./log.js";
import { badge, rememberName, rememberedName, tabKey } from "./people.js";
import { followRooms } from "./rooms.js";
import { SteadySocket, showState, socketUrl } from "./socket.js";

const page = JSON.parse(document.getElementById("page").textContent);
const $ = (id) => document.getElementById(id);
const log = new Log($("log"), $("newer"));
const title = document.title;

let me = null;
let unread = 0;
let gone = false; // the connection was lost once
let socket = null;
let members = null; // id -> {name, away}, when it is known
const shown = new Set(); // the messages in the log

const handlers = {
  welcome({ you }) {
    me = you;
    $("me").textContent = you.name;
    if (gone) log.notice("Back again");
    gone = false;
    if (members) drawPeople();
  },
  said(message) {
    // Who comes in, or comes back, is sent the last messages of the room first.
    const known = `${message.member.id} ${message.at} ${message.text}`;
    if (shown.has(known)) return;
    shown.add(known);
    const mine = message.member.id === me.id;
    log.said(message, { mine });
    if (!mine && document.hidden) document.title = `(${++unread}) ${title}`;
  },
  problem({ text }) {
    log.notice(text);
  },
};

/** Shows who is here; null if that is not told. */
function onPeople(people) {
  if (people === null) {
    members = null;
    $("here").textContent = "More";
    $("present").dataset.unknown = "";
    return;
  }
  const before = members ?? new Map();
  const news = members !== null;
  members = new Map();
  for (const [id, { metas, away }] of Object.entries(people)) members.set(id, { name: metas.at(-1).name, away });
  for (const [id, { name }] of members) {
    const known = before.get(id)?.name;
    if (!news || !me || id === me.id || known === name) continue;
    log.notice(known === undefined ? `${name} came in` : `${known} is ${name} now`);
  }
  for (const [id, { name }] of before) {
    if (!members.has(id) && id !== me?.id) log.notice(`${name} left`);
  }
  if (!news && !$("log").childElementCount) log.notice(`You are in ${page.room}`);
  drawPeople();
}

function drawPeople() {
  const order = ([a, x], [b, y]) => (b === me?.id) - (a === me?.id) || x.name.localeCompare(y.name);
  $("people").replaceChildren(
    ...[...members].sort(order).map(([id, { name, away }]) => {
      const item = document.createElement("li");
      item.append(badge(name), name);
      if (id === me?.id || away) {
        const more = document.createElement("span");
        more.className = "help";
        more.textContent = id === me?.id ? "you" : "away";
        item.append(more);
      }
      return item;
    }),
  );
  $("here").textContent = `${members.size} here`;
  delete $("present").dataset.unknown;
}

function onState(state) {
  showState($("status"), state);
  $("retry").hidden = !["waiting", "returning"].includes(state.name);
  $("send").disabled = !socket?.isOpen;
  $("hint").textContent = hint(state);
  if (["waiting", "offline"].includes(state.name) && !gone) {
    gone = true;
    members = null; // a server that has started again may not know the others yet
    if (me) log.notice("The connection was lost");
    onState(state);
  }
}

function hint({ name }) {
  if (name === "returning") return "Coming back: what you send goes out as soon as the connection is there.";
  if (gone && name !== "open") return "Not connected: what you write stays here until you can send it.";
  return "Enter sends, Shift + Enter begins a new line.";
}

function say() {
  const text = $("text").value.trim();
  if (!text || !socket?.send({ text })) return;
  $("text").value = "";
  fit();
}

function fit() {
  const box = $("text");
  box.style.height = "auto";
  box.style.height = `${Math.min(box.scrollHeight + 2, 180)}px`;
}

$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  say();
  $("text").focus();
});
$("text").addEventListener("keydown", (event) => {
  // While a word is being composed (Japanese, Chinese, …) Enter belongs to the input method.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  say();
});
$("text").addEventListener("input", fit);
$("retry").addEventListener("click", () => socket.retry());

$("invite").addEventListener("click", async () => {
  const button = $("invite");
  try {
    await navigator.clipboard.writeText(location.href);
    button.textContent = "Copied";
  } catch {
    prompt("The link to this room:", location.href);
  }
  setTimeout(() => (button.textContent = "Copy link"), 2000);
});

$("side-toggle").addEventListener("click", () => {
  const open = document.body.classList.toggle("side-open");
  $("side-toggle").ariaExpanded = open;
});
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && document.body.classList.contains("side-open")) {
    document.body.classList.remove("side-open");
    $("side-toggle").ariaExpanded = false;
    $("side-toggle").focus();
  }
});

document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  unread = 0;
  document.title = title;
});

/** The name to come in with; asks for it when there is none yet. */
function askName() {
  $("name").value = rememberedName();
  $("naming").showModal();
  $("name").select();
  return new Promise((resolve) => {
    $("naming").addEventListener("close", () => {
      const name = $("name").value.trim();
      if (name) rememberName(name);
      $("text").focus();
      resolve(name);
    }, { once: true });
  });
}

$("rename").addEventListener("click", async () => {
  const before = rememberedName();
  if ((await askName()) !== before) socket.reopen();
});

if (!rememberedName()) await askName();
else if (document.activeElement === document.body) $("text").focus();
socket = new SteadySocket(() => socketUrl(page.socket, { name: rememberedName(), key: tabKey() }), {
  watch: page.group,
  onPeople,
  onFrame: (frame) => handlers[frame.kind]?.(frame),
  onState,
  onUnsure: (frames) => frames.forEach(({ text }) => log.notice(`Perhaps not sent: ${text}`)),
});
followRooms({ page, list: $("rooms"), empty: $("no-rooms"), except: page.room });
