/** The classic script, in a page that names it in a tag: CLASSIC is its file (test_page.py makes it). */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import vm from "node:vm";

import { World } from "./world.mjs";

const code = readFileSync(process.env.CLASSIC, "utf8");

/** Runs the script as <script src="https://cdn.example.com/_channels/socket.js" …dataset> would. */
function paged(dataset, src = "https://cdn.example.com/_channels/socket.js") {
  const world = new World();
  const { document, env } = world;
  document.currentScript = dataset && { src, dataset };
  const own = { WebSocket: env.WebSocket, setTimeout: env.setTimeout, clearTimeout: env.clearTimeout, document };
  const page = {
    ...own,
    location: { host: "example.com" },
    Date: { now: env.now },
    Math: Object.assign(Object.create(Math), { random: env.random }),
    addEventListener: world.window.addEventListener.bind(world.window),
    removeEventListener: world.window.removeEventListener.bind(world.window),
    ...{ Blob, CloseEvent, CustomEvent, DOMException, Event, EventTarget, MessageEvent, TextEncoder, URL },
  };
  vm.createContext(page);
  vm.runInContext(code, page);
  return { world, page };
}

test("without data-install it only offers its class", () => {
  for (const dataset of [undefined, {}]) {
    const { world, page } = paged(dataset);
    assert.equal(page.WebSocket, world.WebSocket);
    const socket = new page.Socket("/ws/");
    assert.equal(socket.url, "wss://example.com/ws/");
    assert.deepEqual(world.takeWire(), [{ link: ["channels.resume.v1"] }]);
  }
});

test("data-install on a script that stands in the page", () => {
  const { world, page } = paged({ install: "" }, "");
  new page.WebSocket("wss://example.com/ws/");
  assert.deepEqual(world.takeWire(), [{ link: ["channels.resume.v1"] }]);
});

test("data-install: a WebSocket asks for its connection only", () => {
  const { world, page } = paged({ install: "" });
  const socket = world.follow(new page.WebSocket("wss://example.com/ws/", "json"));
  assert.ok(socket instanceof page.WebSocket && socket instanceof page.Socket);
  assert.equal(page.WebSocket.OPEN, 1);
  world.accept("json");
  world.hello();
  world.end();
  world.clock.wait(0.3);
  const offered = ["channels.resume.v1", "json", "channels.ticket.T1.0.only"];
  assert.deepEqual(world.takeWire().pop(), { link: offered });
});

test("data-install=reconnect: a WebSocket that is a new connection if it has to be", () => {
  const { world, page } = paged({ install: "reconnect" });
  new page.WebSocket("wss://example.com/ws/");
  world.accept();
  world.hello();
  world.end();
  world.clock.wait(0.3);
  assert.deepEqual(world.takeWire().pop().link.pop(), "channels.ticket.T1.0");
});

test("a page with its own loop: one socket at a time, and the next one has the ticket", () => {
  const { world, page } = paged({ install: "" });
  const connect = () => {
    const socket = world.follow(new page.WebSocket("/ws/"));
    socket.onclose = () => page.setTimeout(connect, 1000);
  };
  connect();
  world.accept();
  world.hello();
  for (let night = 0; night < 3; night += 1) {
    world.end();
    world.clock.wait(0.3);
    world.accept();
    world.hello({ recovered: "all" }); // it comes back by itself: the page does not notice
    world.clock.wait(5);
  }
  world.end();
  world.clock.wait(0.3);
  world.accept();
  world.end(4410);
  world.takeWire();
  world.clock.wait(1);
  assert.deepEqual(world.takeWire(), [{ link: ["channels.resume.v1", "channels.ticket.T4.0"] }]);
  world.accept();
  world.hello({ recovered: "groups", why: "home" });
  const wanted = ["open", ...Array(3).fill(["offline", "resumed"]).flat(), "offline", "close", "open", "resumed"];
  assert.deepEqual(world.takeEvents().map(({ event }) => event), wanted);
  assert.equal(world.links.filter(({ readyState }) => readyState < 2).length, 1);
});

/** The socket is lost with a frame that it has not sent, and its connection is gone. */
function endOf(world, socket) {
  world.accept();
  world.hello();
  world.end();
  socket.send("kept");
  world.clock.wait(0.3);
  world.accept();
  world.end(4410);
  assert.equal(socket.readyState, 3);
}

for (const closed of [false, true]) {
  test(`what an ended socket leaves goes to the next one${closed ? ", unless the page closes it" : ""}`, () => {
    const { world, page } = paged({ install: "" });
    const socket = new page.WebSocket("/ws/");
    endOf(world, socket);
    if (closed) socket.close();
    world.takeWire();
    new page.WebSocket("/ws/");
    const offered = ["channels.resume.v1", ...(closed ? [] : ["channels.ticket.T1.0"])];
    assert.deepEqual(world.takeWire(), [{ link: offered }]);
  });
}

test("a socket whose constructor throws neither takes what is left nor is in the way of later ones", () => {
  const { world, page } = paged({ install: "" });
  const wrong = () => assert.throws(() => new page.WebSocket("/ws/", ["a", "a"]), { name: "SyntaxError" });
  wrong();
  endOf(world, new page.WebSocket("/ws/"));
  wrong();
  world.takeWire();
  new page.WebSocket("/ws/");
  assert.deepEqual(world.takeWire(), [{ link: ["channels.resume.v1", "channels.ticket.T1.0"] }]);
});

for (const type of ["error", "close"]) {
  test(`a page that calls close() when it hears of ${type} goes on where it was`, () => {
    const { world, page } = paged({ install: "" });
    const socket = new page.WebSocket("/ws/");
    socket[`on${type}`] = () => socket.close();
    endOf(world, socket);
    world.takeWire();
    new page.WebSocket("/ws/");
    assert.deepEqual(world.takeWire(), [{ link: ["channels.resume.v1", "channels.ticket.T1.0"] }]);
    world.accept();
    world.hello({ recovered: "groups", why: "gone" });
    assert.ok(world.takeWire().some(({ client }) => client === "kept"));
  });
}

test("a socket to another host is the native one", () => {
  const { world, page } = paged({ install: "" });
  for (const url of ["wss://elsewhere.example/ws/", new URL("ws://example.com:8080/ws/")]) {
    const socket = new page.WebSocket(url, ["mqtt"]);
    assert.equal(Object.getPrototypeOf(socket), world.WebSocket.prototype);
    assert.ok(socket instanceof page.WebSocket && !(socket instanceof page.Socket));
    assert.deepEqual(world.takeWire(), [{ link: ["mqtt"] }]);
    world.link.readyState = 3;
  }
  const socket = new page.WebSocket("wss://cdn.example.com/ws/");
  assert.ok(socket instanceof page.Socket);
});

test("two tags are as good as one", () => {
  const { world, page } = paged({ install: "" });
  vm.runInContext(code, page);
  new page.Socket("/socket/");
  new page.WebSocket("/ws/");
  assert.equal(page.WebSocket.native, world.WebSocket);
  assert.deepEqual(world.takeWire(), Array(2).fill({ link: ["channels.resume.v1"] }));
  assert.ok(world.links.every((link) => Object.getPrototypeOf(link) === world.WebSocket.prototype));
});

test("a class of the page's own can extend it", () => {
  const { world, page } = paged({ install: "" });
  class Chat extends page.WebSocket {
    say(text) {
      this.send(JSON.stringify({ text }));
    }
  }
  const chat = new Chat("/ws/");
  assert.ok(chat instanceof Chat && chat instanceof page.WebSocket);
  const other = new page.Socket("/other/");
  assert.ok(other instanceof page.WebSocket && !(other instanceof Chat));
  world.links.splice(1);
  world.accept();
  world.hello();
  chat.say("hi");
  assert.deepEqual(world.takeWire().pop(), { client: '{"text":"hi"}' });
});

test("what code wraps is on the prototype of the page's WebSocket", () => {
  const { world, page } = paged({ install: "" });
  const { prototype } = page.WebSocket;
  const seen = [];
  const { get, set, ...rest } = Object.getOwnPropertyDescriptor(prototype, "onmessage");
  const wrapped = (handler) => (event) => {
    seen.push(event.data);
    handler(event);
  };
  const hook = { get, set(handler) { set.call(this, wrapped(handler)); }, ...rest };
  Object.defineProperty(prototype, "onmessage", hook);
  const socket = new page.WebSocket("/ws/");
  socket.onmessage = ({ data }) => seen.push(`page: ${data}`);
  world.accept();
  world.hello();
  world.serve("a");
  assert.deepEqual(seen, ["a", "page: a"]);
  for (const name of ["send", "close", "readyState", "OPEN"]) assert.ok(Object.hasOwn(prototype, name), name);
  assert.equal(socket.constructor, page.WebSocket);
});
