// The same chat on Socket.IO, with connection state recovery: server.js PORT
"use strict";
const fs = require("node:fs");
const http = require("node:http");
const path = require("node:path");
const { Server } = require("socket.io");

const folder = process.env.FAULTS_FOLDER;
const note = (what, who, number = 0) =>
  fs.appendFileSync(path.join(folder, "notes"), JSON.stringify([what, who, number]) + "\n");

const pages = http.createServer((request, response) => {
  const url = new URL(request.url, "http://127.0.0.1");
  if (url.pathname !== "/say") return;
  const [first, last, size] = ["first", "last", "size"].map((name) => Number(url.searchParams.get(name)));
  for (let number = first; number < last; number++) {
    io.to(url.searchParams.get("room")).emit("message", String(number).padStart(size));
  }
  response.end("ok");
});

const io = new Server(pages, {
  transports: ["websocket"],
  pingInterval: 1000 * Number(process.env.FAULTS_PING_S),
  pingTimeout: 1000 * Number(process.env.FAULTS_PONG_S),
  connectionStateRecovery: { maxDisconnectionDuration: 120_000 },
});

async function gate(who) {
  while (!fs.existsSync(path.join(folder, who))) await new Promise((done) => setTimeout(done, 20));
}

io.on("connection", (socket) => {
  const who = socket.handshake.query.who;
  note("connect", who);
  socket.join(who);
  socket.on("disconnect", () => note("disconnect", who));
  socket.on("message", async (text) => {
    const [kind, number] = text.split(" ");
    note("got", who, Number(number));
    if (kind === "wait") {
      await gate(who);
      note("answered", who, Number(number));
      socket.emit("message", number);
    }
  });
});

process.on("SIGTERM", () => io.close(() => process.exit(0)));
pages.listen(Number(process.argv[2]), "127.0.0.1");
