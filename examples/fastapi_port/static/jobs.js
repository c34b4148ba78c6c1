// Background jobs: started by a message, followed by events.

import { $, el, socketAt } from "./common.js";

const jobs = new Map();
const waiting = []; // cards of jobs that are not queued yet, in the order of their messages

const socket = socketAt(() => "/ws/background_jobs", $("status"), {
  job_queued({ job_id }) {
    const card = waiting.shift();
    jobs.set(job_id, card);
    become(card, "queued", `Job ${job_id}`, "waits for a worker");
  },
  job_progress({ job_id, done }) {
    const card = jobs.get(job_id);
    if (!card) return;
    become(card, "running", `Job ${job_id}`, `${Math.round(100 * done)} %`);
    card.querySelector("progress").value = done;
  },
  job_done({ job_id, words }) {
    const card = jobs.get(job_id);
    if (!card) return;
    become(card, "done", `Job ${job_id}`, "done");
    card.querySelector("progress").remove();
    const list = Object.entries(words).map(([word, count]) => el("li", "", `${word} ${count}`));
    card.append(el("ul", "tally", ...list));
  },
  job_failed({ job_id, problem }) {
    const card = jobs.get(job_id);
    if (!card) return;
    become(card, "failed", `Job ${job_id}`, "failed");
    card.querySelector("progress").remove();
    card.append(el("p", "problem", problem));
  },
  error() {
    const card = waiting.shift();
    if (card) become(card, "failed", "A job", "was refused");
  },
});

function become(card, state, title, words) {
  card.dataset.state = state;
  card.querySelector("strong").textContent = title;
  card.querySelector("header span").textContent = words;
}

$("start").addEventListener("submit", (event) => {
  event.preventDefault();
  const payload = { text: $("text").value, seconds: Number($("seconds").value) };
  if (!socket.send({ action: "start_job", payload })) return;
  const bar = el("progress", "");
  bar.value = 0;
  const card = el("li", "card job", el("header", "", el("strong", "", "A job"), el("span", "", "…")), bar);
  waiting.push(card);
  $("jobs").prepend(card);
  $("no-jobs").hidden = true;
});

$("seconds").addEventListener("input", () => {
  $("shown-seconds").textContent = `${$("seconds").value} s`;
});
