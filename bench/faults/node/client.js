// The client of Socket.IO: client.js URL; a JSON value per line, as clients/lines.py describes.
"use strict";
const readline = require("node:readline");
const { io } = require("socket.io-client");

const tell = (what, more = {}) => process.stdout.write(JSON.stringify({ what, ...more }) + "\n");

const socket = io(process.argv[2], {
  transports: ["websocket"],
  reconnectionDelay: 100,
  reconnectionDelayMax: 500,
});
socket.on("connect", () => tell("open", { recovered: socket.recovered, why: "" }));
socket.on("disconnect", () => tell("lost"));
socket.on("message", (text) => tell("got", { number: Number(text) }));

const lines = readline.createInterface({ input: process.stdin });
lines.on("line", (line) => socket.emit("message", JSON.parse(line)));
lines.on("close", () => {
  socket.disconnect();
  setTimeout(() => process.exit(0), 200); // the goodbye is on its way
});
