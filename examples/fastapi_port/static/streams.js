// Four sockets on one page.

import { $, append, el, line, socketAt } from "./common.js";

const sockets = {};
const counts = new Map();

function listen(id, handlers) {
  const status = $(id).querySelector(".status");
  sockets[id] = socketAt(() => `/ws/${id}`, status, { ...handlers, opened: overall });
  new MutationObserver(overall).observe(status, { attributes: true });
}

function overall() {
  const states = [...document.querySelectorAll(".stream .status")].map((one) => one.dataset.state);
  const open = states.filter((state) => state === "open").length;
  $("status").dataset.state = open === states.length ? "open" : "connecting";
  $("status").textContent = `${open} of ${states.length} connected`;
}

const lines = (id) => $(id).querySelector(".lines");
const show = (id) => ({ text, source }) => append(lines(id), line(source, text));

listen("chat", { chat_note: show("chat") });
listen("reliable", { reliable_note: show("reliable") });
listen("notifications", { notice: show("notifications") });
listen("analytics", {
  measured({ name, data }) {
    const value = data === null || data === undefined ? "" : ` ${JSON.stringify(data)}`;
    append(lines("analytics"), line("events", name + value));
    counts.set(name, (counts.get(name) ?? 0) + 1);
    const most = Math.max(...counts.values());
    const bars = [...counts].sort((a, b) => b[1] - a[1]).map(([what, count]) => {
      const bar = el("li", "", el("span", "", what), el("b", "", count));
      bar.style.setProperty("--share", `${(100 * count) / most}%`);
      return bar;
    });
    $("analytics").querySelector(".bars").replaceChildren(...bars);
  },
});

$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (!text) return;
  const sent = [
    sockets.chat.send({ action: "chat", payload: { text } }),
    sockets.reliable.send({ action: "reliable_chat", payload: { text } }),
  ];
  if (sent.every(Boolean)) $("text").value = "";
});

$("outside").addEventListener("submit", async (event) => {
  event.preventDefault();
  const [stream, text] = [$("stream").value, $("event").value.trim()];
  const measurement = stream === "analytics";
  const answer = await fetch(
    measurement ? "/api/showcase/measurements" : `/api/showcase/streams/${stream}/announcements`,
    {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(measurement ? { name: text } : { text }),
    },
  ).catch((error) => ({ ok: false, status: error.message }));
  $("answer").textContent = answer.ok ? `Sent: ${answer.status}` : `Not sent: ${answer.status}`;
});
