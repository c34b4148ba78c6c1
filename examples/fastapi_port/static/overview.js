// The overview: one socket, and how long it takes there and back.

import { $, el, socketAt } from "./common.js";

const EVERY_MS = 1000;
const KEPT = 60;
const trips = [];
let sent = 0;
let messages = 0;
let up = null;

const socket = socketAt(() => "/ws/system", $("status"), {
  hello({ pid, up_s, layers }) {
    $("pid").textContent = pid;
    up = { up_s, at: performance.now() };
    $("layers").replaceChildren(...layers.map(({ alias, kind }) => el("li", "", alias, " ", el("span", "", kind))));
    count();
  },
  pong() {
    const trip = performance.now() - sent;
    trips.push(trip);
    if (trips.length > KEPT) trips.shift();
    $("trip").textContent = `${trip < 10 ? trip.toFixed(1) : Math.round(trip)} ms`;
    count();
    draw();
  },
  opened: ping,
});

function count() {
  $("count").textContent = ++messages;
}

function ping() {
  sent = performance.now();
  socket?.send({ action: "ping" });
}

function draw() {
  const canvas = $("trips");
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  const scale = devicePixelRatio || 1;
  if (canvas.width !== width * scale) [canvas.width, canvas.height] = [width * scale, height * scale];
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  const style = getComputedStyle(document.body);
  const top = Math.max(...trips, 5);
  const step = width / KEPT;
  context.fillStyle = style.getPropertyValue("--warm");
  trips.forEach((trip, index) => {
    const tall = Math.max(3, (trip / top) * (height - 18));
    context.beginPath();
    context.roundRect((KEPT - trips.length + index) * step + 1, height - tall, step - 2, tall, 3);
    context.fill();
  });
  context.fillStyle = style.getPropertyValue("--soft");
  context.font = "12px system-ui, sans-serif";
  context.fillText(`${top.toFixed(1)} ms`, 0, 11);
}

setInterval(ping, EVERY_MS);
setInterval(() => {
  if (!up) return;
  const seconds = Math.round(up.up_s + (performance.now() - up.at) / 1000);
  $("up").textContent = seconds < 120 ? `${seconds} s` : `${Math.floor(seconds / 60)} min`;
}, 1000);
