// A room: entered by its name, which then is in the address of the page as well.

import { $, append, el, line, socketAt } from "./common.js";

const WRITING_MS = 2500;
let socket = null;
let me = null;
let told = 0;
const writing = new Map();

const wanted = new URLSearchParams(location.search);
$("room").value = wanted.get("room") ?? $("room").value;
$("name").value = wanted.get("name") ?? sessionStorage.getItem("showcase.name") ?? "";
$("status").textContent = "Not in a room";
$("status").dataset.state = "";

function address() {
  const name = new URLSearchParams({ name: $("name").value.trim() });
  return `/ws/room/${encodeURIComponent($("room").value.trim())}?${name}`;
}

function note(text) {
  append($("log"), line("system", text));
}

const handlers = {
  welcome({ you, room }) {
    me = you;
    $("room-title").textContent = room;
    $("me").textContent = `You are ${you.name}`;
    note("You have entered the room");
  },
  came: ({ name }) => note(`${name} has come in`),
  went({ id, name }) {
    writing.delete(id);
    showWriting();
    note(`${name} has left`);
  },
  said({ who, text, at }) {
    writing.delete(who.id);
    showWriting();
    const kind = who.id === me?.id ? "mine" : who.id === "house" ? "house" : "";
    append($("log"), line(kind, text, { who: who.name, at: new Date(at) }));
  },
  writing({ id, name }) {
    writing.set(id, { name, until: Date.now() + WRITING_MS });
    showWriting();
    setTimeout(showWriting, WRITING_MS + 50);
  },
};

function showWriting() {
  for (const [id, { until }] of writing) if (until < Date.now()) writing.delete(id);
  const names = [...writing.values()].map(({ name }) => name);
  $("typing").textContent = names.length ? `${names.join(", ")} ${names.length > 1 ? "are" : "is"} writing…` : "";
}

function enter() {
  sessionStorage.setItem("showcase.name", $("name").value);
  history.replaceState(null, "", `?${new URLSearchParams({ room: $("room").value.trim() })}`);
  $("talk").hidden = false;
  $("log").replaceChildren();
  writing.clear();
  if (socket) socket.reopen();
  else socket = socketAt(address, $("status"), handlers);
  $("enter").textContent = "Change room";
  $("text").focus();
}

$("door").addEventListener("submit", (event) => {
  event.preventDefault();
  if ($("room").value.trim()) enter();
});

$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (text && socket?.send({ action: "say", payload: { text } })) $("text").value = "";
});

$("text").addEventListener("input", () => {
  if (!$("text").value || Date.now() - told < WRITING_MS / 2) return;
  told = Date.now();
  socket?.send({ action: "write" });
});

if (wanted.has("room")) enter();
