/** What the page sees and does, beside the wire (transcripts.test.mjs). */

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import test from "node:test";
import vm from "node:vm";

import { Socket } from "../../../compat/client/socket.mjs";
import { MARK, World } from "./world.mjs";

let pages = 0;

/** A socket of a page of its own: nothing is inherited from another test. */
function made(world, { protocols = [], url, ...options } = {}) {
  pages += 1;
  const address = url ?? `wss://example.com/ws/${pages}/`;
  return world.follow(new Socket(address, protocols, { ...options, env: world.env }));
}

function opened(world, options) {
  const socket = made(world, options);
  world.accept();
  world.hello();
  world.takeWire();
  world.takeEvents();
  return socket;
}

/** The link is lost and a new one is open, whose first frame is a hello with these fields. */
function cutAndBack(world, hello = { recovered: "all" }) {
  world.end();
  world.clock.wait(0.3);
  world.accept();
  world.hello(hello);
}

const kinds = (events) => events.map(({ event }) => event);

// Coming back

test("the first wait is at most 300 ms, the next ones grow to 30 s", () => {
  const world = new World({ random: 1 });
  opened(world);
  const waits = [];
  for (let attempt = 0; attempt < 10; attempt += 1) {
    world.end();
    const links = world.links.length;
    let waited = 0;
    while (world.links.length === links) {
      world.clock.wait(0.1);
      waited += 100;
    }
    waits.push(waited);
  }
  assert.deepEqual(waits, [300, 600, 1200, 2400, 4800, 9600, 19200, 30000, 30000, 30000]);
});

test("the whole wait is jitter", () => {
  const world = new World({ random: 0 });
  opened(world);
  for (let attempt = 0; attempt < 5; attempt += 1) {
    world.end();
    world.clock.wait(0);
  }
  assert.equal(world.links.length, 6);
});

test("a link that worked makes the next wait short again", () => {
  const world = new World({ random: 1 });
  opened(world);
  for (let attempt = 0; attempt < 4; attempt += 1) {
    world.end();
    world.clock.wait(5);
  }
  world.accept();
  world.hello({ recovered: "all" });
  world.clock.wait(5);
  world.end();
  const links = world.links.length;
  world.clock.wait(0.3);
  assert.equal(world.links.length, links + 1);
});

test("a server that greets and drops at once is tried less and less often, whatever its code", () => {
  for (const [code, recovered, waited] of [
    [1006, "", [300, 600, 1200, 2400, 4800]],
    [1012, "", [300, 600, 1200, 2400, 4800]],
    // The connection is there: it is the network that cuts.
    [1006, "all", [300, 600, 1200, 1200, 1200]],
  ]) {
    const world = new World({ random: 1 });
    opened(world);
    const waits = [];
    for (let round = 0; round < 5; round += 1) {
      world.end(code);
      const links = world.links.length;
      const lost = world.clock.time;
      while (world.links.length === links) world.clock.wait(0.1);
      waits.push(Math.round((world.clock.time - lost) / 100) * 100);
      world.accept();
      world.hello({ recovered, why: recovered ? undefined : "gone" });
    }
    assert.deepEqual(waits, waited, "the first is free");
    world.clock.wait(5);
    world.end(code);
    world.clock.wait(0.3);
    assert.equal(world.link.readyState, 0, "a link that has lived for 5 s has worked");
  }
});

test("a link whose pings were not answered is lost, and not ended", () => {
  for (const protocol of ["channels.resume.v1", "json"]) {
    const world = new World();
    const socket = made(world, { protocols: ["json"] });
    world.accept(protocol);
    if (protocol !== "json") world.hello();
    world.end(1011, "keepalive ping timeout");
    assert.equal(socket.state, "returning");
    world.clock.wait(0.3);
    assert.equal(world.links.length, 2);
    world.accept();
    world.end(1011, "another reason");
    assert.equal(socket.readyState, 3);
  }
});

test("a link without a hello is dropped after 10 s", () => {
  const world = new World();
  made(world);
  world.accept();
  world.clock.wait(9.9);
  assert.equal(world.links.length, 1);
  world.clock.wait(0.5);
  assert.equal(world.links.length, 2);
  assert.equal(world.links[0].readyState, 2);
});

test("a server that takes our subprotocol and waits for the page is a plain one", () => {
  const world = new World({ random: 1 });
  const socket = made(world);
  world.accept();
  world.clock.wait(11);
  assert.deepEqual(world.link.offered, []);
  world.accept("");
  assert.deepEqual(kinds(world.takeEvents()), ["open"]);
  assert.equal(socket.readyState, 1);
});

test("a server that is silent is no plain one for who has a ticket", () => {
  const world = new World({ random: 1 });
  opened(world);
  world.end();
  world.clock.wait(0.3);
  world.accept();
  world.clock.wait(11);
  assert.ok(world.links.length > 2 && world.link.offered.includes("channels.resume.v1"));
});

test("a link that a policy of the page blocks, with an error and no close, is lost at once", () => {
  const world = new World();
  const socket = made(world, { only: true });
  world.tasks = [];
  for (let attempt = 0; attempt < 3; attempt += 1) {
    world.link.onerror(new Event("error"));
    for (const task of world.tasks.splice(0)) task();
    world.clock.wait(1);
  }
  assert.deepEqual(world.takeEvents(), [{ event: "close", code: 1006 }]);
  assert.equal(socket.readyState, 3);
});

test("an error that a close follows, as of other links, is one loss", () => {
  const world = new World();
  opened(world);
  world.tasks = [];
  world.link.onerror(new Event("error"));
  world.end();
  world.clock.wait(0.3);
  for (const task of world.tasks.splice(0)) task();
  assert.deepEqual(kinds(world.takeEvents()), ["offline"]);
  assert.equal(world.links.length, 2);
  assert.equal(world.link.readyState, 0);
});

test("an attempt that nothing answers is dropped after 10 s", () => {
  const world = new World();
  made(world);
  world.clock.wait(10.5);
  assert.equal(world.links.length, 2);
  assert.equal(world.link.readyState, 0);
});

/** For how many seconds each attempt waits for an answer, until there is none any more. */
function patienceOf(world) {
  const waited = [];
  while (waited.length < 7 && world.link.readyState === 0) {
    const { link, clock: { time } } = world;
    while (link.readyState === 0) world.clock.wait(1);
    waited.push(Math.round((world.clock.time - time) / 1000));
  }
  return waited;
}

test("an attempt waits longer after each failure but the first: a consumer may be slow to accept", () => {
  const world = new World({ random: 0 });
  made(world);
  assert.deepEqual(patienceOf(world), [10, 10, 20, 40, 80, 80, 80]);
});

test("a socket with only waits for its last answer no longer than its server keeps the connection", () => {
  const world = new World({ random: 0 });
  opened(world, { only: true });
  world.end();
  world.clock.wait(0);
  assert.deepEqual(patienceOf(world), [10, 10, 20, 40, 40]);
  assert.deepEqual(kinds(world.takeEvents()), ["offline", "close"]);
});

test("what a dropped link says later is not heard", () => {
  const world = new World();
  opened(world);
  const [old] = world.links;
  world.clock.wait(28.5);
  assert.equal(world.links.length, 2);
  world.takeEvents();
  old.onmessage({ data: "late" });
  old.onclose({ code: 4000 });
  assert.deepEqual(world.takeEvents(), []);
  assert.equal(world.link.readyState, 0);
});

// What is shown

test("readyState stays OPEN while it is away, and state says so", () => {
  const world = new World();
  const socket = made(world);
  const states = [[socket.readyState, socket.state]];
  const note = () => states.push([socket.readyState, socket.state]);
  world.accept();
  note();
  world.hello();
  note();
  world.end();
  note();
  world.clock.wait(0.3);
  note();
  world.accept();
  world.hello({ recovered: "all" });
  note();
  socket.close();
  note();
  world.end(1000);
  note();
  assert.deepEqual(states, [
    [0, "connecting"], [0, "connecting"], [1, "open"], [1, "returning"], [1, "returning"], [1, "open"],
    [2, "closed"], [3, "closed"],
  ]);
});

test("it has the constants and the attributes of a WebSocket", () => {
  const world = new World();
  const socket = made(world, { url: "/ws/chat/", protocols: "json" });
  assert.deepEqual([Socket.CONNECTING, Socket.OPEN, Socket.CLOSING, Socket.CLOSED], [0, 1, 2, 3]);
  assert.equal(Socket.prototype.OPEN, 1);
  assert.deepEqual([socket.CONNECTING, socket.OPEN, socket.CLOSING, socket.CLOSED], [0, 1, 2, 3]);
  assert.equal(socket.url, "wss://example.com/ws/chat/");
  assert.equal(socket.binaryType, "blob");
  socket.binaryType = "arraybuffer";
  assert.equal(world.link.binaryType, "arraybuffer");
  world.accept("json");
  world.hello();
  assert.equal(socket.protocol, "json");
  assert.equal(socket.extensions, "");
  world.link.bufferedAmount = 7;
  assert.equal(socket.bufferedAmount, 7);
  world.end();
  world.clock.wait(0.3);
  assert.equal(world.link.binaryType, "arraybuffer");
  assert.equal(socket.protocol, "json");
});

test("a page may log it", () => {
  assert.equal(JSON.stringify({ socket: opened(new World()) }), '{"socket":{}}');
});

test("our own subprotocol is hidden from the page", () => {
  const world = new World();
  assert.equal(opened(world).protocol, "");
});

test("handlers are what they are in the browser's own: on the prototype, in the order in which they were set", () => {
  const world = new World();
  const socket = made(world);
  const calls = [];
  const { get, set } = Object.getOwnPropertyDescriptor(Socket.prototype, "onmessage");
  assert.equal(get.call(socket), null);
  set.call(socket, () => calls.push("handler"));
  socket.addEventListener("message", () => calls.push("listener"));
  socket.onmessage = () => calls.push("another");
  world.accept();
  world.hello();
  world.serve("x");
  assert.deepEqual(calls, ["another", "listener"]);
  for (const none of [null, undefined, "text", { handleEvent() {} }]) {
    socket.onmessage = none;
    assert.equal(socket.onmessage, null);
  }
  world.serve("y");
  assert.deepEqual(calls.slice(2), ["listener"]);
});

test("a page's class has the names of attributes for itself, and a page the name state", () => {
  class Chat extends Socket {
    get url() { return `of a chat: ${super.url}`; }
    get readyState() { return `is ${super.readyState}`; }
  }
  const world = new World();
  const chat = new Chat("/ws/chat/", [], { env: world.env });
  world.accept();
  world.hello();
  assert.deepEqual([chat.url, chat.readyState], ["of a chat: wss://example.com/ws/chat/", "is 1"]);
  chat.send("x");
  assert.deepEqual(world.takeWire().pop(), { client: "x" });
  chat.state = "joined";
  assert.equal(chat.state, "joined");
  assert.throws(() => { chat.OPEN = 5; }, TypeError);
});

test("handlers and listeners are called with the socket", () => {
  const world = new World();
  const socket = made(world);
  const calls = [];
  socket.onopen = function onOpen(event) {
    calls.push([this === socket, event.target === socket, event.type]);
  };
  socket.onmessage = () => calls.push("replaced");
  socket.onmessage = ({ data, origin }) => calls.push([data, origin]);
  socket.onresumed = ({ detail }) => calls.push(detail);
  socket.onoffline = ({ detail }) => calls.push(detail);
  world.accept();
  world.hello();
  world.serve("x");
  socket.onmessage = null;
  world.serve("y");
  cutAndBack(world);
  assert.deepEqual(calls, [
    [true, true, "open"],
    ["x", "wss://example.com"],
    { code: 1006 },
    { recovered: "all", why: "" },
  ]);
});

test("a URL that is none, and a code that pages may not send, are errors", () => {
  const world = new World();
  for (const url of ["http://[", "ws://", "/ws/#top", "/ws/#"]) {
    assert.throws(() => made(world, { url }), { name: "SyntaxError" }, url);
  }
  const socket = opened(world);
  assert.throws(() => socket.close(1001), { name: "InvalidAccessError" });
  assert.throws(() => socket.close(2999), { name: "InvalidAccessError" });
  assert.throws(() => socket.close(3000, "é".repeat(62)), { name: "SyntaxError" });
  socket.close(3000, "é".repeat(61));
  assert.equal(world.takeWire().pop().client_close, 3000);
});

test("once is enough to close", () => {
  const world = new World();
  const socket = opened(world);
  socket.close();
  socket.close(4000);
  world.serve("too late");
  world.end(1000);
  socket.close();
  assert.deepEqual(kinds(world.takeEvents()), ["close"]);
  assert.deepEqual(world.takeWire(), [{ client: { type: "bye" } }, { client_close: 1000 }]);
});

test("closed before it was open", async () => {
  const world = new World();
  const socket = made(world);
  const seen = [];
  for (const type of ["error", "close"]) socket.addEventListener(type, () => seen.push(type));
  socket.close();
  assert.equal(socket.readyState, 2);
  world.end(1006);
  assert.deepEqual(seen, ["error", "close"], "as with a WebSocket");
  world.clock.wait(60);
  assert.equal(world.links.length, 1);
});

// The queue

test("more than 1 MiB does not wait", () => {
  const world = new World();
  const socket = opened(world);
  world.end();
  const half = "x".repeat(512 * 1024);
  socket.send(half);
  assert.equal(socket.bufferedAmount, 512 * 1024);
  socket.send(half);
  assert.throws(() => socket.send("y"), { name: "QuotaExceededError", message: /1 MiB/ });
  assert.throws(() => socket.send(new Uint8Array(1)), { name: "QuotaExceededError" });
  world.clock.wait(0.3);
  world.accept();
  world.hello({ recovered: "all" });
  assert.equal(socket.bufferedAmount, 0);
  assert.deepEqual(world.takeWire().slice(2), [{ client: half }, { client: half }]);
  world.end();
  socket.send("y");
});

test("before the first open it throws, and after the end it is silent", () => {
  const world = new World();
  const socket = made(world);
  assert.throws(() => socket.send("x"), { name: "InvalidStateError" });
  world.accept();
  world.hello();
  world.end(1000);
  socket.send("x");
  assert.deepEqual(world.takeWire().slice(2), []);
});

test("a buffer may be written to after it was sent", () => {
  const world = new World();
  const socket = opened(world);
  world.end();
  const bytes = new Uint8Array([1, 2, 3, 4]);
  socket.send(bytes.subarray(1, 3));
  socket.send(bytes.buffer);
  socket.send(new DataView(bytes.buffer, 3));
  bytes.fill(9);
  world.clock.wait(0.3);
  world.accept();
  world.hello({ recovered: "all" });
  const sent = world.takeWire().slice(2).map(({ client }) => [...new Uint8Array(client)]);
  assert.deepEqual(sent, [[2, 3], [1, 2, 3, 4], [4]]);
});

test("blobs, and what is neither text nor bytes", () => {
  const world = new World();
  const socket = opened(world);
  const blob = new Blob(["x".repeat(1024 * 1024)]);
  world.end();
  socket.send(blob);
  assert.throws(() => socket.send("y"), { name: "QuotaExceededError" });
  world.clock.wait(0.3);
  world.accept();
  world.hello({ recovered: "all" });
  socket.send(5);
  assert.deepEqual(world.takeWire().slice(2), [{ client: blob }, { client: "5" }]);
});

test("a buffer or a Blob of another window is what it is here", () => {
  const world = new World();
  const socket = opened(world);
  const { buffer, blob } = vm.runInNewContext(
    "({ buffer: new Uint8Array([1, 2]).buffer, blob: { slice() {}, size: 3 } })",
  );
  assert.ok(!(buffer instanceof ArrayBuffer));
  socket.send(buffer);
  socket.send(blob);
  const [first, second] = world.takeWire().map(({ client }) => client);
  assert.deepEqual([...new Uint8Array(first)], [1, 2]);
  assert.equal(second, blob);
});

test("received bytes count towards an ack", () => {
  const world = new World();
  opened(world);
  world.serve(new Blob(["x".repeat(65535)]));
  assert.deepEqual(world.takeWire(), []);
  world.serve(new ArrayBuffer(1));
  assert.deepEqual(world.takeWire(), [{ client: { type: "ack", n: 2 } }]);
});

test("an end for good hands over all that was not acknowledged, also what waited", () => {
  const world = new World();
  const socket = opened(world);
  socket.send("acknowledged");
  socket.send("sent");
  world.serve({ type: "ack", n: 1 });
  world.end();
  socket.send("waits");
  world.clock.wait(0.3);
  world.accept();
  world.takeEvents();
  world.end(1011);
  assert.deepEqual(world.takeEvents(), [
    { event: "unsure", frames: ["sent", "waits"] },
    { event: "close", code: 1011 },
  ]);
});

// A new connection

test("the page's code for open comes first, then unsure frames if it sends them again, then what waited", () => {
  const world = new World();
  const socket = opened(world);
  socket.addEventListener("open", () => socket.send("init"));
  socket.addEventListener("unsure", ({ detail }) => detail.frames.forEach((frame) => socket.send(frame)));
  socket.send("0");
  world.end();
  socket.send("1");
  world.clock.wait(0.3);
  world.accept();
  world.takeWire();
  world.hello({ recovered: "", why: "left" });
  assert.deepEqual(world.takeWire(), [
    { client: { type: "ack", n: 0 } },
    { client: "init" },
    { client: "0" },
    { client: "1" },
  ]);
  cutAndBack(world, { recovered: "all", have: 2 });
  assert.deepEqual(world.takeWire().pop(), { client: "1" });
});

test("in the close before a new open nothing is sent, and the state is not closed", () => {
  const world = new World();
  const socket = opened(world);
  const seen = [];
  socket.addEventListener("close", () => {
    seen.push([socket.readyState, socket.state]);
    socket.send("lost");
  });
  cutAndBack(world, { recovered: "groups", why: "home" });
  assert.deepEqual(seen, [[3, "returning"]]);
  assert.ok(!world.takeWire().some(({ client }) => client === "lost"));
});

test("a page that closes in that close is gone", () => {
  const world = new World();
  const socket = opened(world);
  socket.addEventListener("close", () => socket.close());
  cutAndBack(world, { recovered: "", why: "expired" });
  assert.deepEqual(kinds(world.takeEvents()), ["offline", "close"]);
  assert.deepEqual(world.takeWire().slice(-2), [{ client: { type: "bye" } }, { client_close: 1000 }]);
  world.end(1000);
  world.clock.wait(60);
  assert.deepEqual(kinds(world.takeEvents()), ["close"]);
  assert.equal(world.links.length, 2);
});

/** A new connection in place of the old one; what comes after its `close` waits for the next tasks. */
function begunAnew(world) {
  const socket = opened(world);
  world.end();
  world.clock.wait(0.3);
  world.accept();
  world.takeEvents();
  world.tasks = [];
  world.hello({ recovered: "", why: "gone" });
  return socket;
}

/** What the page hears in each task, until there are no more. */
function heard(world) {
  const tasks = [world.takeEvents()];
  while (world.tasks.length) {
    world.tasks.shift()();
    tasks.push(world.takeEvents());
  }
  return tasks.map((events) => events.map(({ event, data }) => data ?? event));
}

test("close and the open that follows are two tasks, for code that awaits them, and frames wait in order", () => {
  const world = new World();
  const socket = begunAnew(world);
  assert.deepEqual([socket.readyState, socket.state], [3, "returning"]);
  world.serve("one");
  world.serve("two");
  assert.deepEqual(heard(world), [["close"], ["open", "resumed"], ["one"], ["two"], []]);
  world.serve("three");
  assert.deepEqual(heard(world), [["three"]]);
  assert.equal(socket.readyState, 1);
});

test("a link that is lost between close and open is lost after open", () => {
  const world = new World();
  const socket = begunAnew(world);
  world.serve("one");
  world.end();
  assert.deepEqual(heard(world), [["close"], ["open", "resumed"], ["one"], ["offline"], []]);
  world.clock.wait(0.3);
  assert.deepEqual(world.link.offered[1], "channels.ticket.T2.1", "and the new ticket is known");
  assert.equal(socket.state, "returning");
});

test("a page that closes between close and open hears no open", () => {
  for (const ended of [false, true]) {
    const world = new World();
    const socket = begunAnew(world);
    world.takeWire();
    if (ended) world.end();
    socket.close();
    assert.deepEqual(world.takeWire(), ended ? [] : [{ client: { type: "bye" } }, { client_close: 1000 }]);
    if (!ended) world.end(1000);
    assert.deepEqual(heard(world).flat(), ["close", "close"]);
    assert.equal(socket.readyState, 3);
  }
});

test("a page that wakes up between close and open is not cut off after it", () => {
  const world = new World();
  begunAnew(world);
  world.fire("online");
  heard(world);
  world.clock.wait(4);
  assert.equal(world.links.length, 2);
});

test("data in the place of a hello is heard after the open of the new connection", () => {
  const world = new World();
  opened(world);
  world.end();
  world.clock.wait(0.3);
  world.accept();
  world.takeEvents();
  world.tasks = [];
  world.serve("data");
  world.serve("more");
  assert.deepEqual(heard(world), [["close"], ["open", "resumed"], ["data"], ["more"], []]);
});

/** Until an attempt that offers nothing may be accepted by a server that does not resume. */
function findPlain(world) {
  while (world.link.offered.length) {
    world.end();
    world.clock.wait(2);
  }
  world.accept("");
  world.end();
  world.clock.wait(0);
}

test("a plain connection, too, has close and open in two tasks", () => {
  for (const [protocols, chosen] of [[["json"], "json"], [[], ""]]) {
    const world = new World();
    made(world, { protocols });
    if (!chosen) findPlain(world);
    world.accept(chosen);
    world.serve("first");
    world.end();
    world.clock.wait(0.3);
    world.takeEvents();
    world.tasks = [];
    world.accept(chosen);
    world.serve("second");
    assert.deepEqual(heard(world).flat(), ["close", "open", "resumed", "second"]);
  }
});

test("a page that closes when it is told of the loss is gone", async () => {
  const world = new World();
  const socket = opened(world);
  socket.onoffline = () => socket.close();
  world.end();
  await Promise.resolve();
  world.clock.wait(60);
  assert.deepEqual(kinds(world.takeEvents()), ["offline", "close"]);
  assert.equal(world.links.length, 1);
});

test("a frame of the server that is no control frame does no harm", () => {
  const world = new World();
  const socket = opened(world);
  for (const text of ["\u0010", "\u0010{", "\u0010null", "\u00105"]) world.serve(text);
  world.serve({ type: "ack", n: 5 });
  socket.send("x");
  world.serve("y");
  assert.deepEqual(world.takeWire(), [{ client: "x" }]);
  assert.deepEqual(kinds(world.takeEvents()), ["message"]);
});

// Servers that do not resume

test("a plain connection comes back as a new one", () => {
  const world = new World();
  const socket = made(world, { protocols: ["json"] });
  world.accept("json");
  world.serve("first");
  socket.send("gone");
  world.takeEvents();
  world.end(1012);
  socket.send("waits");
  assert.equal(socket.state, "returning");
  world.clock.wait(0.3);
  world.takeWire();
  world.accept("json");
  assert.deepEqual(world.takeWire(), [{ client: "waits" }]);
  assert.deepEqual(world.takeEvents(), [
    { event: "offline", code: 1012 },
    { event: "close", code: 1006 },
    { event: "open" },
    { event: "resumed", recovered: "", why: "plain" },
  ]);
});

test("a plain server is not pinged", () => {
  const world = new World();
  made(world, { protocols: ["json"] });
  world.accept("json");
  world.serve("first");
  world.takeWire();
  world.clock.wait(60);
  world.fire("online");
  world.fire("pagehide", { persisted: false });
  assert.deepEqual(world.takeWire(), []);
});

test("a server that has not said hello after 10 s is plain, and what was sent to it is not kept", () => {
  const world = new World();
  const socket = made(world, { protocols: ["json"] });
  world.accept("json");
  socket.send("a");
  socket.send("\u0010b");
  socket.send("c");
  world.clock.wait(9);
  assert.deepEqual(world.takeWire().slice(1), [{ client: "a" }]);
  world.clock.wait(1);
  assert.deepEqual(world.takeWire(), [{ client: "\u0010b" }, { client: "c" }]);
  world.end();
  world.clock.wait(0.3);
  world.accept("json");
  assert.ok(!kinds(world.takeEvents()).includes("unsure"));
});

test("a server that is known not to resume is asked once, not by each socket of the URL", () => {
  const world = new World();
  const url = "wss://example.com/ws/known/";
  made(world, { url });
  findPlain(world);
  world.accept("");
  const offered = (address, options) => {
    for (const link of world.links) link.readyState = 3;
    made(world, { url: address, ...options });
    return world.link.offered;
  };
  assert.deepEqual(offered(url), []);
  assert.deepEqual(offered(url, { protocols: ["json"] }), ["json"]);
  assert.deepEqual(offered(url, { ticket: "of-page" }), ["channels.resume.v1", "channels.ticket.of-page.0"]);
  assert.deepEqual(offered("wss://example.com/ws/unknown/"), ["channels.resume.v1"]);
  world.clock.wait(601);
  assert.deepEqual(offered(url), ["channels.resume.v1"]);
});

test("frames that begin with U+0010 wait until the server is known", () => {
  const world = new World();
  const socket = made(world, { protocols: ["json"] });
  world.accept("json");
  socket.send("\u0010b");
  socket.send("c");
  assert.deepEqual(world.takeWire().slice(1), []);
  world.hello();
  assert.deepEqual(world.takeWire().slice(1), [{ client: "\u0010\u0010b" }, { client: "c" }]);
});

test("every third attempt is plain, as long as nothing else has worked", () => {
  const world = new World({ random: 1 });
  made(world, { protocols: ["json"] });
  for (let attempt = 0; attempt < 5; attempt += 1) {
    world.end();
    world.clock.wait(31);
    if (world.link.readyState === 2) break;
  }
  const offered = world.links.slice(0, 6).map((link) => link.offered[0]);
  const resume = "channels.resume.v1";
  assert.deepEqual(offered, [resume, resume, "json", resume, resume, "json"].slice(0, offered.length));
});

/** Fails until an attempt does not mention resuming; returns for how many seconds. */
function untilProbed(world) {
  const since = world.clock.time;
  for (;;) {
    while (world.link.readyState !== 0) world.clock.wait(1);
    if (world.link.offered[0] === "json") return (world.clock.time - since) / 1000;
    assert.match(world.link.offered[2], /^channels.ticket.T1.0/);
    world.end();
  }
}

test("where resuming has worked, no attempt is plain while the connection may be there", () => {
  const world = new World({ random: 1 });
  opened(world, { protocols: ["json"] });
  world.end();
  const lasted = untilProbed(world);
  assert.ok(lasted >= 120 && lasted < 250, `after ${lasted} s`);
});

test("a server that does not resume any more is known by what it accepts, and what it does not", () => {
  const world = new World({ random: 1 });
  const socket = opened(world, { protocols: ["json"] });
  world.end();
  untilProbed(world);
  world.takeWire();
  world.takeEvents();
  world.accept("json");
  assert.deepEqual(world.takeEvents(), [], "the ticket may yet be good");
  const [dropped, { link }] = world.takeWire();
  assert.deepEqual(dropped, { client_close: null });
  assert.deepEqual(link.slice(0, 2), ["channels.resume.v1", "json"]);
  world.end();
  world.clock.wait(0);
  assert.deepEqual(world.link.offered, ["json"]);
  world.accept("json");
  assert.equal(socket.state, "open");
  assert.deepEqual(world.takeEvents(), [
    { event: "close", code: 1006 },
    { event: "open" },
    { event: "resumed", recovered: "", why: "plain" },
  ]);
});

test("a server that is back at the moment of a plain attempt gets the ticket all the same", () => {
  const world = new World({ random: 1 });
  const socket = opened(world, { protocols: ["json"] });
  world.end();
  untilProbed(world);
  world.accept("json");
  world.accept();
  world.hello({ recovered: "groups", why: "gone" });
  assert.equal(socket.state, "open");
  assert.deepEqual(world.takeEvents().pop(), { event: "resumed", recovered: "groups", why: "gone" });
  world.end();
  world.clock.wait(31);
  assert.equal(world.link.offered[0], "channels.resume.v1");
});

for (const back of ["resumes", "does not resume"]) {
  test(`the ticket of a page outlives an outage, and a server that ${back} is told apart`, () => {
    const world = new World({ random: 1 });
    made(world, { protocols: ["json"], ticket: "of-page" });
    for (let attempt = 0; attempt < 2; attempt += 1) {
      assert.deepEqual(world.link.offered, ["channels.resume.v1", "json", "channels.ticket.of-page.0"]);
      world.end();
      world.clock.wait(2);
    }
    assert.deepEqual(world.link.offered, ["json"]);
    world.accept("json");
    assert.deepEqual(world.link.offered, ["channels.resume.v1", "json", "channels.ticket.of-page.0"]);
    if (back === "resumes") {
      world.accept();
      world.hello({ recovered: "groups", why: "page" });
    } else {
      world.end();
      world.clock.wait(6);
      world.accept("json");
    }
    const outcome = back === "resumes" ? { recovered: "groups", why: "page" } : { recovered: "", why: "plain" };
    assert.deepEqual(world.takeEvents(), [{ event: "open" }, { event: "resumed", ...outcome }]);
  });
}

test("only: with a page's ticket, too, a server that does not resume is found before the socket gives up", () => {
  const world = new World({ random: 1 });
  made(world, { only: true, protocols: ["json"], ticket: "of-page" });
  for (let attempt = 0; attempt < 2; attempt += 1) {
    world.end();
    world.clock.wait(2);
  }
  world.accept("json");
  world.end();
  world.clock.wait(6);
  world.accept("json");
  assert.deepEqual(kinds(world.takeEvents()), ["open", "resumed"]);
});

/** Waits for the ping, and returns for how many seconds its answer is waited for, up to a hundred. */
function patience(world) {
  world.takeWire();
  while (!world.takeWire().some(({ client }) => client?.type === "ping")) world.clock.wait(0.1);
  for (let waited = 0; ; waited += 0.1) {
    if (waited > 100 || world.link.readyState !== 1) return Math.round(waited);
    world.clock.wait(0.1);
  }
}

test("an answer that is behind a large frame is waited for twice as long after each link without one", () => {
  const world = new World({ random: 0 });
  opened(world);
  for (const seconds of [3, 6, 12]) {
    assert.equal(patience(world), seconds);
    world.accept();
    world.hello({ recovered: "all" });
  }
  world.clock.wait(25 + 20);
  world.serve({ type: "pong" });
  assert.equal(world.link.readyState, 1, "it has come, though late");
  assert.equal(patience(world), 24, "and the next may be as late");
  world.accept();
  world.hello({ recovered: "all" });
  world.clock.wait(25 + 1);
  world.serve({ type: "pong" });
  assert.equal(patience(world), 3);
});

test("an answer is waited for as long as the frame before it goes on leaving", () => {
  const world = new World({ random: 0 });
  opened(world);
  world.link.bufferedAmount = 100;
  world.show("visible");
  for (let second = 0; second < 60; second += 1) {
    world.clock.wait(1);
    world.link.bufferedAmount -= 1;
    assert.equal(world.link.readyState, 1, `cut after ${second} s`);
  }
  world.clock.wait(7); // it is stuck: the network is gone
  assert.equal(world.links[0].readyState, 2);
});

test("that the question has left is no sign of life", () => {
  const world = new World({ random: 0 });
  opened(world);
  const { link } = world;
  link.send = () => { link.bufferedAmount += 20; };
  world.show("visible");
  world.clock.wait(1);
  link.bufferedAmount = 0;
  world.clock.wait(2);
  assert.equal(link.readyState, 2);
});

test("on a link with many frames an answer is soon waited for as long as on any", () => {
  const world = new World({ random: 0 });
  opened(world);
  assert.equal(patience(world), 3);
  world.accept();
  world.hello({ recovered: "all" });
  for (const text of ["what", "has", "waited"]) world.serve(text);
  assert.equal(patience(world), 6);
  world.accept();
  world.hello({ recovered: "all" });
  for (let second = 0; second < 8; second += 1) {
    world.clock.wait(1);
    world.serve("a frame");
  }
  assert.equal(patience(world), 3);
});

test("a hello that does not come from a server that resumes does not cost the ticket", () => {
  const world = new World({ random: 1 });
  made(world, { protocols: ["json"], ticket: "of-page" });
  for (let attempt = 0; attempt < 2; attempt += 1) {
    world.end();
    world.clock.wait(2);
  }
  world.accept("json");
  world.accept();
  world.end(1013);
  world.clock.wait(6);
  assert.deepEqual(world.link.offered, ["channels.resume.v1", "json", "channels.ticket.of-page.0"]);
});

test("a first frame that is data, in the place of a hello", () => {
  const world = new World();
  const socket = opened(world);
  socket.send("perhaps");
  world.end();
  world.clock.wait(0.3);
  world.accept();
  world.serve("data");
  assert.deepEqual(world.takeEvents(), [
    { event: "offline", code: 1006 },
    { event: "close", code: 1006 },
    { event: "open" },
    { event: "unsure", frames: ["perhaps"] },
    { event: "resumed", recovered: "", why: "plain" },
    { event: "message", data: "data" },
  ]);
});

// Sleep and wake

for (const wake of [
  (world) => world.show("visible"),
  (world) => world.fire("online"),
  (world) => world.fire("pageshow", { persisted: true }),
]) {
  test(`woken up by ${wake}: a dead link is known within 3 s`, () => {
    const world = new World();
    opened(world);
    wake(world);
    assert.deepEqual(world.takeWire(), [{ client: { type: "ping" } }]);
    world.clock.wait(2.9);
    assert.deepEqual(world.takeWire(), []);
    world.clock.wait(0.3);
    assert.equal(world.takeWire().length, 2);
    assert.deepEqual(world.takeEvents(), [{ event: "offline", code: 1006 }]);
  });

  test(`woken up by ${wake}: a waiting socket connects at once`, () => {
    const world = new World({ random: 1 });
    opened(world);
    world.end();
    world.clock.wait(0.3);
    world.end();
    world.takeWire();
    wake(world);
    assert.equal(world.takeWire().length, 1);
    world.clock.wait(0.6);
    assert.equal(world.links.length, 3);
  });
}

test("after a link that did not answer, a page that wakes up asks for as long as before", () => {
  const world = new World({ random: 0 });
  opened(world);
  for (let wake = 1; wake <= 3; wake += 1) {
    world.fire("online");
    world.clock.wait(2.9);
    assert.equal(world.links.length, wake);
    world.clock.wait(0.3);
    assert.equal(world.links.length, wake + 1);
    world.accept();
    world.hello({ recovered: "all" });
  }
});

test("a hidden page, and a page that is shown for the first time, ask nothing", () => {
  const world = new World();
  opened(world);
  world.show("hidden");
  world.fire("pageshow", { persisted: false });
  assert.deepEqual(world.takeWire(), []);
});

test("a hidden page hears that the network is back", () => {
  const world = new World();
  opened(world);
  world.show("hidden");
  world.fire("online");
  assert.deepEqual(world.takeWire(), [{ client: { type: "ping" } }]);
});

test("several signs at once are one ping, and any frame answers it", () => {
  const world = new World();
  opened(world);
  world.show("visible");
  world.fire("online");
  assert.deepEqual(world.takeWire(), [{ client: { type: "ping" } }]);
  world.serve("x");
  world.clock.wait(5);
  assert.equal(world.links.length, 1);
});

test("after a night's sleep the timers find the dead link", () => {
  const world = new World();
  opened(world);
  world.clock.sleep(8 * 3600);
  assert.deepEqual(world.takeWire(), [{ client: { type: "ping" } }]);
  world.clock.wait(3.2);
  assert.equal(world.links.length, 2);
});

test("a clock that is set back does not keep the socket from finding a dead link", () => {
  for (const hours of [1, 30 * 24]) {
    const world = new World();
    let back = 0;
    const env = { ...world.env, now: () => world.clock.time - back };
    const socket = new Socket(`wss://example.com/ws/back/${hours}`, [], { env });
    world.accept();
    world.hello();
    world.clock.wait(1);
    world.serve("x");
    back = hours * 3600_000;
    world.takeWire();
    world.clock.wait(25);
    assert.deepEqual(world.takeWire().map(({ client }) => client.type), ["ack", "ping"]);
    world.serve({ type: "pong" });
    world.clock.wait(24.9);
    assert.deepEqual(world.takeWire(), []);
    world.clock.wait(3.2);
    assert.deepEqual(world.takeWire()[0], { client: { type: "ping" } });
    assert.equal(socket.state, "returning");
  }
});

test("an attempt from before the sleep has 3 s left", () => {
  const world = new World();
  opened(world);
  world.end();
  world.clock.wait(0.3);
  world.clock.wait(5);
  for (let sign = 0; sign < 3; sign += 1) {
    world.show("visible");
    world.clock.wait(0.9);
  }
  assert.equal(world.links.length, 2);
  world.clock.wait(0.7);
  assert.equal(world.links.length, 3, "signs that follow do not give it more");
});

test("an attempt that has just begun has its time, whatever wakes the page up", () => {
  const world = new World({ random: 1 });
  opened(world);
  world.end();
  world.show("visible");
  assert.equal(world.links.length, 2);
  world.clock.wait(1);
  world.fire("online");
  world.clock.wait(8.9);
  assert.equal(world.links.length, 2, "its consumer may be slow to accept");
  world.clock.wait(1);
  assert.equal(world.links.length, 3);
});

test("a question of before has 3 s left, once", () => {
  const world = new World({ random: 0 });
  opened(world);
  for (const seconds of [3, 6]) {
    assert.equal(patience(world), seconds);
    world.accept();
    world.hello({ recovered: "all" });
  }
  world.clock.wait(25.1);
  const { link } = world;
  for (let sign = 0; sign < 3; sign += 1) {
    world.fire("online");
    world.clock.wait(0.9);
    assert.equal(link.readyState, 1);
  }
  world.clock.wait(0.4);
  assert.equal(link.readyState, 2, "it may have waited for 12 s");
});

test("a server that has yet to say hello has its time, though the page wakes up", () => {
  const world = new World();
  const socket = made(world, { protocols: ["json"] });
  world.accept("json");
  world.clock.wait(5);
  world.fire("online");
  world.clock.wait(4.9);
  world.hello();
  assert.deepEqual([socket.state, socket._mode], ["open", "resume"]);
});

test("goodbye when the page is left", () => {
  const world = new World();
  opened(world);
  world.fire("pagehide", { persisted: false });
  assert.deepEqual(world.takeWire(), [{ client: { type: "bye" } }]);
});

for (const [what, keep, back] of [
  ["keeps for the back button", (world) => world.fire("pagehide", { persisted: true }),
    (world) => world.fire("pageshow", { persisted: true })],
  ["freezes", (world) => world.fire("freeze"), (world) => world.show("visible")],
]) {
  test(`a page that its browser ${what} gives its link up without a goodbye, and comes back`, () => {
    const world = new World();
    const socket = opened(world);
    keep(world);
    world.fire("freeze");
    assert.deepEqual(world.takeWire(), [{ client_close: null }]);
    assert.deepEqual(world.takeEvents(), [{ event: "offline", code: 1006 }]);
    socket.send("meanwhile");
    back(world);
    assert.deepEqual(world.takeWire(), [{ link: ["channels.resume.v1", "channels.ticket.T1.0"] }]);
    world.accept();
    world.hello({ recovered: "all" });
    assert.deepEqual(world.takeWire().pop(), { client: "meanwhile" });
    assert.deepEqual(kinds(world.takeEvents()), ["resumed"]);
  });
}

test("a page that is kept keeps the link to a server that does not resume", () => {
  const world = new World();
  made(world, { protocols: ["json"] });
  world.accept("json");
  world.serve("first");
  world.fire("pagehide", { persisted: true });
  assert.equal(world.link.readyState, 1);
});

test("a page that is left after its own close() says nothing more", () => {
  const world = new World();
  opened(world).close();
  world.takeWire();
  world.fire("pagehide", { persisted: false });
  assert.deepEqual(world.takeWire(), []);
});

test("a socket that has ended listens to nothing", () => {
  const world = new World();
  opened(world);
  world.end(4000);
  world.takeWire();
  world.fire("online");
  world.fire("pagehide", { persisted: false });
  world.show("visible");
  assert.deepEqual(world.takeWire(), []);
  assert.equal(world.clock.timers.size, 0);
});

// only

test("only: a first attempt fails three times, one of them plain, and the page is told", () => {
  const world = new World();
  const socket = made(world, { only: true });
  const errors = [];
  socket.onerror = ({ type }) => errors.push(type);
  for (let attempt = 0; attempt < 3; attempt += 1) {
    world.end();
    world.clock.wait(2);
  }
  assert.deepEqual(world.links.map(({ offered }) => offered.length), [1, 1, 0]);
  assert.deepEqual(world.takeEvents(), [{ event: "close", code: 1006 }]);
  assert.deepEqual(errors, ["error"]);
  world.clock.wait(60);
  assert.equal(world.links.length, 3);
});

test("only: against a plain server it ends as a WebSocket does", () => {
  const world = new World();
  const socket = made(world, { only: true, protocols: ["json"] });
  socket.onclose = ({ code, reason, wasClean }) => world.events.push([code, reason, wasClean]);
  world.accept("json");
  world.end(1012, "later");
  assert.deepEqual(world.takeEvents(), [
    { event: "open" },
    { event: "close", code: 1012 },
    [1012, "later", true],
  ]);
  world.clock.wait(60);
  assert.equal(world.links.length, 1);
});

test("only: a plain connection that is cut fires no error, as in a browser: libraries take one for the end", () => {
  const world = new World();
  const socket = made(world, { only: true, protocols: ["json"] });
  const fired = [];
  for (const type of ["error", "close"]) socket.addEventListener(type, () => fired.push(type));
  world.accept("json");
  world.end(1006);
  assert.deepEqual(fired, ["close"]);
});

test("only: the next socket of the URL has the ticket, and what was never sent", () => {
  const world = new World();
  const url = "wss://example.com/ws/heritage/";
  const first = opened(world, { only: true, url });
  first.send("0");
  world.serve("a");
  world.end();
  first.send("1");
  world.clock.wait(0.3);
  world.accept();
  world.end(4410);
  assert.equal(first.readyState, 3);
  world.takeWire();
  world.takeEvents();
  const second = made(world, { only: true, url });
  second.onopen = () => second.send("init");
  assert.deepEqual(world.takeWire(), [{ link: ["channels.resume.v1", "channels.ticket.T1.1"] }]);
  world.accept();
  world.hello({ recovered: "groups", why: "home" });
  assert.deepEqual(world.takeWire(), [{ client: { type: "ack", n: 0 } }, { client: "init" }, { client: "1" }]);
  assert.deepEqual(kinds(world.takeEvents()), ["open", "resumed"]);
  world.end();
  world.clock.wait(0.3);
  assert.deepEqual(world.takeWire().pop().link.pop(), "channels.ticket.T3.0.only");
  made(world, { url: "wss://example.com/ws/another/" });
  assert.equal(world.wire.pop().link.length, 1);
});

test("only: what the next socket inherits it leaves again if it cannot connect", () => {
  const world = new World();
  const url = "wss://example.com/ws/heritage-2/";
  opened(world, { only: true, url });
  cutAndBack(world);
  world.end();
  world.clock.wait(0.3);
  world.accept();
  world.end(4410);
  for (let round = 0; round < 2; round += 1) {
    made(world, { only: true, url });
    for (let attempt = 0; attempt < 3; attempt += 1) {
      assert.equal(world.link.offered.pop(), "channels.ticket.T2.0");
      world.end();
      world.clock.wait(2);
    }
  }
});

test("only: the connection was there all the same", () => {
  const world = new World();
  const url = "wss://example.com/ws/heritage-3/";
  const first = opened(world, { only: true, url });
  first.send("0");
  first.send("1");
  world.end();
  first.send("2");
  world.clock.wait(0.3);
  world.accept();
  world.end(4410);
  made(world, { only: true, url });
  world.accept();
  world.takeWire();
  world.hello({ recovered: "all", have: 1 });
  assert.deepEqual(world.takeWire(), [{ client: { type: "ack", n: 0 } }, { client: "2" }]);
  cutAndBack(world, { recovered: "all", have: 1 });
  assert.deepEqual(world.takeWire().pop(), { client: "2" });
});

for (const chosen of ["", "json"]) {
  const heir = chosen ? "not the next socket's, as its subprotocol begins anew" : "the next socket's";
  test(`only: a server that does not resume any more is the end; what waits is ${heir}`, () => {
    const world = new World();
    const url = `wss://example.com/ws/heritage-6/${chosen}`;
    const protocols = chosen ? [chosen] : [];
    const socket = opened(world, { only: true, url, protocols });
    world.end();
    socket.send("kept");
    world.clock.wait(0.3);
    world.accept(chosen);
    world.takeEvents();
    world.serve("a");
    const unsure = chosen ? [{ event: "unsure", frames: ["kept"] }] : [];
    assert.deepEqual(world.takeEvents(), [...unsure, { event: "close", code: 1006 }]);
    world.clock.wait(60);
    const { length } = world.links;
    const next = made(world, { only: true, url, protocols });
    world.takeWire();
    world.accept(chosen);
    world.serve("b");
    assert.deepEqual([next.readyState, world.links.length], [1, length + 1]);
    assert.deepEqual(world.takeWire(), chosen ? [] : [{ client: "kept" }]);
  });
}

test("only: what an ended socket has left is handed back when the page closes it", () => {
  const world = new World();
  const url = "wss://example.com/ws/heritage-closed/";
  const socket = opened(world, { only: true, url });
  world.end();
  socket.send("for this room");
  world.clock.wait(0.3);
  world.accept();
  world.end(4410);
  world.takeEvents();
  socket.close();
  socket.close();
  assert.deepEqual(world.takeEvents(), [{ event: "unsure", frames: ["for this room"] }]);
  world.takeWire();
  made(world, { only: true, url });
  assert.deepEqual(world.takeWire(), [{ link: ["channels.resume.v1"] }]);
});

test("a page that loads while its server restarts has a socket that comes back", () => {
  const world = new World({ random: 1 });
  const socket = made(world);
  while (world.link.offered.length) {
    world.end();
    world.clock.wait(5);
  }
  world.accept("");
  assert.deepEqual(world.link.offered, ["channels.resume.v1"]);
  world.accept();
  world.hello();
  assert.deepEqual([socket.state, socket._mode], ["open", "resume"]);
});

test("what libraries copy by a loop, or look for by one, is found so", () => {
  const constants = ["CONNECTING", "OPEN", "CLOSING", "CLOSED"];
  const found = (one) => {
    const names = [];
    for (const name in one) names.push(name);
    return names;
  };
  assert.deepEqual(found(Socket), constants);
  const attributes = ["url", "readyState", "protocol", "extensions", "bufferedAmount", "binaryType"];
  const names = found(opened(new World()));
  for (const name of [...constants, ...attributes, "onopen", "onmessage", "onclose", "onerror"]) {
    assert.ok(names.includes(name), name);
  }
});

for (const code of [1001, 1005, 1012, 1013]) {
  test(`only: an heir that ends with ${code} leaves what it has inherited`, () => {
    const world = new World();
    const url = `wss://example.com/ws/heritage-of-${code}/`;
    const first = opened(world, { only: true, url });
    world.end();
    first.send("kept");
    world.clock.wait(0.3);
    world.accept();
    world.end(4410);
    for (let round = 0; round < 2; round += 1) {
      world.takeEvents();
      made(world, { only: true, url });
      for (let attempt = 0; attempt < 4; attempt += 1) {
        assert.equal(world.link.offered.pop(), "channels.ticket.T1.0");
        world.accept();
        world.end(code);
        world.clock.wait(2);
        if (world.events.some(({ event }) => event === "close")) break;
      }
      assert.deepEqual(world.takeEvents(), [{ event: "close", code }]);
    }
  });
}

/** The connection of a socket that has sent nothing is gone, and a frame waits. */
function gone(world, socket, frame) {
  world.end();
  socket.send(frame);
  world.clock.wait(0.3);
  world.accept();
  world.takeEvents();
  world.end(4410);
  assert.equal(socket.readyState, 3);
}

test("only: of several sockets of a URL none leaves anything, in whatever order they end and follow", () => {
  const url = "wss://example.com/ws/heritage-5/";
  const worlds = [new World(), new World()];
  const sockets = worlds.map((world) => opened(world, { only: true, url }));
  for (const round of [0, 1]) {
    for (const [number, world] of worlds.entries()) {
      gone(world, sockets[number], `of ${number}`);
      const handed = { event: "unsure", frames: [`of ${number}`] };
      assert.deepEqual(world.takeEvents(), [handed, { event: "close", code: 1006 }], `round ${round}`);
    }
    for (const number of [1, 0]) {
      sockets[number] = made(worlds[number], { only: true, url });
      assert.equal(worlds[number].link.offered.length, 1);
      worlds[number].accept();
      worlds[number].hello();
    }
  }
  // One that the page closes is not one of several any more.
  sockets[0].close();
  gone(worlds[1], sockets[1], "kept");
  assert.deepEqual(kinds(worlds[1].takeEvents()), ["close"]);
  made(worlds[1], { only: true, url });
  assert.equal(worlds[1].link.offered.length, 2);
});

test("only: one that ended with its last code was one of several, too", () => {
  const url = "wss://example.com/ws/heritage-7/";
  const [world, other] = [new World(), new World()];
  opened(world, { only: true, url });
  const socket = opened(other, { only: true, url });
  world.end(1011);
  gone(other, socket, "of the other");
  assert.deepEqual(kinds(other.takeEvents()), ["unsure", "close"]);
});

test("only: what is left is left for a day", () => {
  for (const [seconds, offered] of [[86399, 2], [86401, 1]]) {
    const world = new World();
    const url = `wss://example.com/ws/heritage-for/${seconds}/`;
    gone(world, opened(world, { only: true, url }), "kept");
    world.clock.wait(seconds - 0.3);
    made(world, { only: true, url });
    assert.equal(world.link.offered.length, offered);
  }
});

test("only: what is left is kept of the last 32 that have ended, and handed back of the others", () => {
  const world = new World();
  const place = (number) => `wss://example.com/ws/heritage-of-many/?token=${number}`;
  // It was made first, and ends last.
  const other = new World();
  const oldest = opened(other, { only: true, url: place("oldest") });
  const handed = [];
  for (let number = 1; number <= 40; number += 1) {
    const socket = opened(world, { only: true, url: place(number) });
    gone(world, socket, `of ${number}`);
    assert.deepEqual(kinds(world.takeEvents().slice(0, 1)), ["close"]);
    socket.addEventListener("unsure", ({ detail }) => handed.push(...detail.frames));
  }
  gone(other, oldest, "of the oldest");
  assert.deepEqual(handed, [1, 2, 3, 4, 5, 6, 7, 8, 9].map((number) => `of ${number}`));
  for (const [number, offered] of [["oldest", 2], [40, 2], [10, 2], [9, 1], [1, 1]]) {
    const socket = made(world, { only: true, url: place(number) });
    assert.equal(world.link.offered.length, offered, `of ${number}`);
    socket.close();
    world.end();
  }
});

test("only: a socket that the page has closed leaves nothing", () => {
  const world = new World();
  const url = "wss://example.com/ws/heritage-4/";
  const socket = opened(world, { only: true, url });
  socket.close();
  world.end(1000);
  made(world, { only: true, url });
  assert.equal(world.wire.pop().link.length, 1);
});

// Who is here

test("who is here, and what changes", () => {
  const world = new World();
  const socket = opened(world);
  const room = socket.presence("room");
  const seen = [];
  room.addEventListener("change", () => seen.push(Object.keys(room.people).sort().join()));
  assert.equal(socket.presence("room"), room);
  assert.deepEqual(world.takeWire(), [{ client: { type: "presence", group: "room" } }]);
  const here = { metas: [{}], away: false };
  const away = { metas: [{}], away: true };
  world.serve({ type: "presence", group: "room", people: { 7: here, 8: here }, version: 5 });
  world.serve({ type: "presence", group: "room", joins: { 9: here, 7: away }, leaves: { 8: here }, version: 7 });
  world.serve({ type: "presence", group: "another", people: { 1: here }, version: 1 });
  assert.deepEqual(seen, ["7,8", "7,9"]);
  assert.deepEqual(room.people, { 7: away, 9: here });
  assert.deepEqual(world.takeEvents(), []);
});

test("who is here is asked again on each link", () => {
  const world = new World();
  const socket = made(world);
  const room = socket.presence("room");
  world.accept();
  world.hello();
  const asked = { client: { type: "presence", group: "room" } };
  assert.deepEqual(world.takeWire().slice(1), [{ client: { type: "ack", n: 0 } }, asked]);
  cutAndBack(world);
  assert.deepEqual(world.takeWire().pop(), asked);
  world.serve({ type: "presence", group: "room", people: { 7: {} }, version: 5 });
  world.serve({ type: "presence", group: "room", refused: "not joined" });
  assert.deepEqual([room.people, room.refused], [{}, "not joined"]);
});

test("who is here is asked again after a refusal: the consumer may have joined the group since", () => {
  const world = new World();
  const socket = opened(world);
  const room = socket.presence("room");
  const asked = [{ client: { type: "presence", group: "room" } }];
  assert.deepEqual(world.takeWire(), asked);
  world.serve({ type: "presence", group: "room", refused: "not joined" });
  assert.deepEqual(world.takeWire(), []);
  assert.equal(socket.presence("room"), room);
  assert.equal(socket.presence("room"), room);
  assert.deepEqual(world.takeWire(), asked, "once, as long as no answer has come");
  world.serve({ type: "presence", group: "room", people: { 7: {} }, version: 5 });
  assert.deepEqual([room.people, room.refused], [{ 7: {} }, ""]);
  socket.presence("room");
  assert.deepEqual(world.takeWire(), []);
});

// Requests, where websockets are blocked

test("a redirect is not followed: a ticket is for its own origin", async (t) => {
  const seen = [];
  const listening = async (answer) => {
    const server = createServer(answer).listen(0, "127.0.0.1");
    t.after(() => server.close());
    await once(server, "listening");
    return server.address().port;
  };
  const other = await listening((request, response) => {
    seen.push(request.headers);
    response.end();
  });
  const own = await listening((_, response) => {
    response.writeHead(307, { Location: `http://127.0.0.1:${other}/` }).end();
  });
  const world = new World();
  let asked;
  const env = { ...world.env, fetch: (...request) => (asked = fetch(...request)) };
  new Socket(`ws://127.0.0.1:${own}/ws/`, [], { env, ticket: "secret" });
  for (let attempt = 0; attempt < 2; attempt += 1) {
    world.end();
    world.clock.wait(2);
  }
  await assert.rejects(asked);
  assert.deepEqual(seen, []);
});

/** A world whose server answers requests as it is told; `asked` has them. */
function office(options) {
  const world = new World(options);
  const asked = [];
  const env = {
    ...world.env,
    fetch: (url, { headers, body = "", signal }) =>
      new Promise((resolve, reject) => {
        const lines = [];
        const stream = new TransformStream();
        const writer = stream.writable.getWriter();
        asked.push({
          url,
          transport: headers["Channels-Transport"],
          offered: headers["Channels-Protocols"].split(", "),
          frames: body && JSON.parse(body),
          answer: (status) => resolve({ ok: status < 300, status, body: stream.readable }),
          async say(event) {
            if (lines.length === 0) resolve({ ok: true, status: 200, body: stream.readable });
            lines.push(event);
            await writer.write(new TextEncoder().encode(`data: ${JSON.stringify(event)}\n\n`));
            await settled();
          },
          async part(text) {
            await writer.write(new TextEncoder().encode(text));
            await settled();
          },
          end: () => writer.close().then(settled),
          fail: () => reject(new TypeError("network")),
        });
        signal?.addEventListener("abort", () => reject(new DOMException("", "AbortError")));
      }),
  };
  pages += 1;
  return { world, asked, env, url: `wss://office${pages}.example/ws/` };
}

const settled = () => new Promise((resolve) => setTimeout(resolve));
const hello = (fields = {}) => `${MARK}${JSON.stringify({ type: "hello", ticket: "T", have: 0, park: 120, ...fields })}`;

/** Two websockets fail, and a request follows. */
async function blocked(made) {
  const { world, env, url, asked } = made;
  const socket = world.follow(new Socket(url, [], { env }));
  for (let attempt = 0; attempt < 2; attempt += 1) {
    world.end();
    world.clock.wait(2);
  }
  assert.equal(world.links.length, 2);
  assert.equal(asked.length, 1);
  return socket;
}

/** The same, and the connection is there; its first post, an ack, is answered. */
async function begun(made) {
  const { asked } = made;
  const socket = await blocked(made);
  await asked[0].say({ open: "channels.resume.v1" });
  await asked[0].say(hello());
  asked[1].answer(204);
  await settled();
  return socket;
}

test("after two websockets that fail, the third attempt is a request", async () => {
  const made = office();
  const { world, asked } = made;
  const socket = await blocked(made);
  assert.equal(asked[0].transport, "stream");
  assert.equal(asked[0].url, made.url.replace("wss", "https"));
  assert.deepEqual(asked[0].offered, ["channels.resume.v1"]);
  await asked[0].say({ open: "channels.resume.v1" });
  await asked[0].say(hello());
  assert.equal(socket.state, "open");
  socket.onmessage = ({ origin }) => assert.equal(origin, new URL(made.url).origin, "as that of a websocket");
  await asked[0].say("one");
  assert.deepEqual(world.takeEvents(), [{ event: "open" }, { event: "message", data: "one" }]);
});

test("frames go in posts, one at a time, each with the number of its first frame", async () => {
  const made = office();
  const { asked } = made;
  const socket = await blocked(made);
  await asked[0].say({ open: "channels.resume.v1" });
  await asked[0].say(hello());
  assert.deepEqual([asked[1].transport, asked[1].frames], ["send", [`${MARK}{"type":"ack","n":0}`]]);
  socket.send("a");
  socket.send(new Uint8Array([1, 2]));
  assert.equal(asked.length, 2);
  asked[1].answer(204);
  await settled();
  assert.deepEqual(asked[2].offered, ["channels.resume.v1", "channels.ticket.T.0"]);
  assert.deepEqual(asked[2].frames, ["a", ["AQI="]]);
  socket.send("b");
  asked[2].answer(204);
  await settled();
  assert.deepEqual(asked[3].offered[1], "channels.ticket.T.2");
  assert.deepEqual(asked[3].frames, ["b"]);
});

test("events come in parts of any size, and each part is looked at once", async () => {
  const made = office();
  const { world, asked } = made;
  await begun(made);
  world.takeEvents();
  for (const character of 'data: "a\\n\\nb"\n\ndata: "c"\n\n') await asked[0].part(character);
  assert.deepEqual(world.takeEvents(), [{ event: "message", data: "a\n\nb" }, { event: "message", data: "c" }]);
  const long = "x".repeat(100_000);
  const { split } = String.prototype;
  let looked = 0;
  String.prototype.split = function counting(...how) {
    looked += this.length;
    return split.apply(this, how);
  };
  try {
    const text = `data: ${JSON.stringify(long)}\n\n`;
    for (let at = 0; at < text.length; at += 1000) await asked[0].part(text.slice(at, at + 1000));
  } finally {
    String.prototype.split = split;
  }
  assert.deepEqual(world.takeEvents(), [{ event: "message", data: long }]);
  assert.ok(looked < 2 * long.length, `${looked} characters`);
});

test("events that come in one part are heard one by one by code that awaits them", async () => {
  const made = office();
  const { asked, env, world, url } = made;
  delete env.task; // the page's own
  const socket = new Socket(url, [], { env });
  const next = (type) => new Promise((resolve) => socket.addEventListener(type, resolve, { once: true }));
  for (let attempt = 0; attempt < 2; attempt += 1) {
    world.end();
    world.clock.wait(2);
  }
  await asked[0].say({ open: "channels.resume.v1" });
  const part = [hello(), "a", "b", "c"].map((event) => `data: ${JSON.stringify(event)}\n\n`).join("");
  const got = [];
  asked[0].part(part);
  await next("open");
  while (got.length < 3) got.push((await next("message")).data);
  assert.deepEqual(got, ["a", "b", "c"]);
});

test("a post that fails is a link that is lost, and its frames are sent again", async () => {
  const made = office();
  const { world, asked } = made;
  const socket = await begun(made);
  socket.send("a");
  asked[2].fail();
  await settled();
  assert.equal(socket.state, "returning");
  world.clock.wait(0.3);
  assert.equal(asked[3].transport, "stream", "what has worked is remembered");
  assert.deepEqual(asked[3].offered[1], "channels.ticket.T.0");
  await asked[3].say({ open: "channels.resume.v1" });
  await asked[3].say(hello({ recovered: "all" }));
  asked[4].answer(204);
  await settled();
  assert.deepEqual(asked[5].frames, ["a"]);
});

test("a response that is held back for 3 s is followed by polls", async () => {
  const made = office();
  const { world, asked } = made;
  const socket = await blocked(made);
  world.clock.wait(1.5); // some has passed
  assert.equal(asked.length, 1);
  world.clock.wait(0.2);
  assert.equal(asked[1].transport, "poll");
  await asked[1].say({ open: "channels.resume.v1" });
  await asked[1].say(hello());
  await asked[1].say({ again: true });
  await asked[1].end();
  assert.equal(socket.state, "open");
  assert.deepEqual(asked[2].offered, ["channels.resume.v1", "channels.ticket.T.0.only"]);
  await asked[2].say({ open: "channels.resume.v1" });
  await asked[2].say(hello({ ticket: "U", recovered: "all", again: true }));
  await asked[2].say("one");
  await asked[2].say({ again: true });
  await asked[2].end();
  assert.deepEqual(asked[3].offered[1], "channels.ticket.U.1.only");
  assert.deepEqual(world.takeEvents(), [{ event: "open" }, { event: "message", data: "one" }]);
});

test("a poll whose connection is gone is a link that is lost", async () => {
  const made = office();
  const { world, asked } = made;
  await blocked(made);
  await asked[0].say({ open: "channels.resume.v1" });
  await asked[0].say(hello());
  await asked[0].say({ again: true });
  await asked[0].end();
  const poll = asked[asked.length - 1];
  await poll.say({ open: "channels.resume.v1" });
  await poll.say({ close: [4410, ""] });
  assert.deepEqual(world.takeEvents().pop(), { event: "offline", code: 1006 });
});

test("where requests fail too, the fourth attempt is plain", async () => {
  const made = office();
  const { world, asked } = made;
  await blocked(made);
  asked[0].answer(405);
  await settled();
  world.clock.wait(4);
  assert.deepEqual(world.links[2].offered, []);
});

test("a way that has worked and fails twice is left", async () => {
  const made = office();
  const { world, asked } = made;
  await blocked(made);
  await asked[0].say({ open: "channels.resume.v1" });
  await asked[0].say(hello());
  const count = asked.length;
  await asked[0].end();
  for (let attempt = 0; attempt < 2; attempt += 1) {
    world.clock.wait(1);
    asked[count + attempt].answer(502);
    await settled();
  }
  assert.equal(world.links.length, 2);
  world.clock.wait(1);
  assert.equal(world.links.length, 3, "a websocket again");
});

test("over requests, too, bufferedAmount is what the server has not taken", async () => {
  const made = office();
  const { asked } = made;
  const socket = await begun(made);
  assert.equal(socket.bufferedAmount, 0);
  socket.send("x".repeat(1000));
  socket.send(new Uint8Array(24));
  assert.equal(socket.bufferedAmount, 1024);
  asked[2].answer(204);
  await settled();
  assert.equal(socket.bufferedAmount, 24);
  asked[3].answer(204);
  await settled();
  assert.equal(socket.bufferedAmount, 0);
});

test("a goodbye is posted before the requests end", async () => {
  const made = office();
  const { world, asked } = made;
  const socket = await begun(made);
  socket.close();
  assert.deepEqual(asked[2].frames, [`${MARK}{"type":"bye","code":1000}`]);
  assert.equal(socket.readyState, 2);
  asked[2].answer(204);
  await settled();
  assert.equal(socket.readyState, 3);
  assert.deepEqual(world.takeEvents().pop(), { event: "close", code: 1000 });
});

for (const answered of [false, true]) {
  test(`over requests, too, close() before the hello ends the socket later${answered ? ", once it is open" : ""}`, async () => {
    const made = office();
    const { world, asked } = made;
    const socket = await blocked(made);
    if (answered) await asked[0].say({ open: "channels.resume.v1" });
    socket.close();
    assert.deepEqual(world.takeEvents(), []);
    assert.equal(socket.readyState, 2);
    await settled();
    assert.deepEqual(world.takeEvents(), [{ event: "close", code: answered ? 1000 : 1006 }]);
    world.clock.wait(60);
    assert.equal(asked.length, 1);
  });
}

for (const [what, status] of [["hangs", 0], ["is refused for ever", 503]]) {
  test(`close() while a post ${what} is over after 30 s`, async () => {
    const made = office();
    const { world, asked } = made;
    const socket = await begun(made);
    socket.send("a");
    socket.close(4000);
    for (let second = 0; second < 30; second += 1) {
      assert.equal(socket.readyState, 2);
      if (status) asked[asked.length - 1].answer(status);
      await settled();
      world.clock.wait(1);
    }
    assert.equal(socket.readyState, 3);
    assert.deepEqual(world.takeEvents().pop(), { event: "close", code: 1006 });
    const count = asked.length;
    world.clock.wait(60);
    await settled();
    assert.equal(asked.length, count);
  });
}

test("a text that is no valid Unicode goes as a WebSocket would send it", async () => {
  const made = office();
  const { asked } = made;
  const socket = await begun(made);
  socket.send("\ufeffa\ud83d");
  assert.deepEqual(asked[2].frames, ["\ufeffa\ufffd"]);
});

test("a consumer that is busy gets the same frames again", async () => {
  const made = office();
  const { world, asked } = made;
  const socket = await begun(made);
  socket.send("a");
  asked[2].answer(503);
  await settled();
  assert.equal(asked.length, 3);
  world.clock.wait(1);
  await settled();
  assert.deepEqual([asked[3].frames, asked[3].offered[1]], [["a"], "channels.ticket.T.0"]);
  assert.equal(socket.state, "open");
});

for (const [status, code] of [[400, 1007], [413, 1009]]) {
  test(`frames that are refused with ${status} are the end, and not sent again`, async () => {
    const made = office();
    const { world, asked } = made;
    const socket = await begun(made);
    socket.send("a");
    asked[2].answer(status);
    await settled();
    assert.deepEqual(world.takeEvents().pop(), { event: "close", code });
  });
}

test("where a websocket has worked, an outage does not lead to requests", async () => {
  const made = office();
  const { world, asked, env, url } = made;
  world.follow(new Socket(url, [], { env }));
  world.accept();
  world.hello();
  for (let attempt = 0; attempt < 6; attempt += 1) {
    world.end();
    world.clock.wait(10);
  }
  assert.equal(asked.length, 0);
  world.end();
  while (asked.length === 0) world.clock.wait(0.1);
  assert.equal(asked[0].transport, "stream");
});

test("a page that is left says goodbye beside a post that is under way", async () => {
  const made = office();
  const { world, asked } = made;
  const socket = await begun(made);
  socket.send("a");
  world.fire("pagehide", { persisted: false });
  assert.deepEqual([asked[2].frames, asked[3].frames], [["a"], [`${MARK}{"type":"bye"}`]]);
});

test("a page that is left says goodbye though its browser has ended the response before", async () => {
  const made = office();
  const { world, asked } = made;
  await begun(made);
  await asked[0].end();
  world.fire("pagehide", { persisted: false });
  assert.deepEqual([asked[2].transport, asked[2].frames], ["send", [`${MARK}{"type":"bye"}`]]);
  assert.deepEqual(asked[2].offered, ["channels.resume.v1", "channels.ticket.T.0"]);
});

test("after quick cuts, too, what works is tried first", async () => {
  const made = office();
  const { world, asked } = made;
  await begun(made);
  const { length } = world.links;
  let [link] = asked;
  for (let round = 0; round < 4; round += 1) {
    await link.end();
    world.clock.wait(1);
    link = asked.filter(({ transport }) => transport === "stream").pop();
    await link.say({ open: "channels.resume.v1" });
    await link.say(hello({ recovered: "all" }));
  }
  assert.equal(asked.filter(({ transport }) => transport === "stream").length, 5);
  assert.equal(world.links.length, length, "no websocket, which is known to be blocked");
});
