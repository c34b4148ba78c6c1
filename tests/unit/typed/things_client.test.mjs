// The client for things.py, with a socket that writes down what it is told. Run by test_codegen_javascript.py.
import assert from "node:assert/strict";
import { test } from "node:test";

const { sockets } = await import(process.env.SOCKET);
const things = await import(process.env.CLIENT);

const base = "wss://example.org/";

function opened(channel) {
  const socket = sockets.at(-1);
  assert.equal(channel.socket, socket);
  socket.open();
  return socket;
}

test("a channel knows its URL", () => {
  const options = { base, query: { a: "b c" }, protocols: ["json"], only: true };
  const channel = new things.AllThingsChannel({ class: "a b?é", number: 7 }, options);
  const socket = opened(channel);
  assert.equal(socket.url, "wss://example.org/ws/a%20b%3F%C3%A9/7?a=b+c");
  assert.deepEqual(socket.protocols, ["json"]);
  assert.deepEqual(socket.options, { only: true });
  channel.close(4000, "enough");
  assert.deepEqual(socket.closed, [4000, "enough"]);
});

test("the page's own server is the default", () => {
  globalThis.location = { origin: "https://page.example" };
  new things.SilentChannel();
  assert.equal(sockets.at(-1).url, "wss://page.example/silent");
});

test("messages have their tag", () => {
  const channel = new things.AllThingsChannel({ class: "a", number: 1 }, { base });
  const socket = opened(channel);
  channel.sendDo({ payload: { id: "x" } });
  channel.sendMove({ action: "left", payload: {} });
  assert.deepEqual(socket.sent, [
    { action: "do", payload: { id: "x" } },
    { action: "left", payload: {} },
  ]);
});

test("a handler may add another one in its place", () => {
  const channel = new things.AllThingsChannel({ class: "a", number: 1 }, { base });
  const socket = opened(channel);
  const got = [];
  const next = () => {
    const remove = channel.onDone((message) => {
      assert.ok(got.push(message) < 9, "it is called again and again for one message");
      remove();
      next();
    });
  };
  next();
  socket.receive({ action: "done", payload: [1] });
  socket.receive({ action: "done", payload: [2] });
  assert.deepEqual(got.map(({ payload }) => payload), [[1], [2]]);
});

test("a handler that another one removes gets nothing any more", () => {
  const channel = new things.AllThingsChannel({ class: "a", number: 1 }, { base });
  const socket = opened(channel);
  const got = [];
  channel.onDone(() => remove());
  const remove = channel.onDone((message) => got.push(message));
  socket.receive({ action: "done", payload: [1] });
  assert.deepEqual(got, []);
});

test("handlers get their messages until they are removed", () => {
  const channel = new things.AllThingsChannel({ class: "a", number: 1 }, { base });
  const socket = opened(channel);
  const got = [];
  const remove = channel.onMove((message) => got.push(message));
  channel.onDone((message) => got.push(message));
  socket.receive({ action: "right", payload: {}, version: 1 });
  socket.receive({ action: "done", payload: [] });
  socket.receive({ action: "unknown" });
  remove();
  socket.receive({ action: "left", payload: {} });
  assert.deepEqual(got, [
    { action: "right", payload: {} },
    { action: "done", payload: [] },
  ]);
});

test("a topic subscribes, again with each new connection", () => {
  const channel = new things.AllThingsChannel({ class: "a", number: 1 }, { base });
  const topic = new things.AllThingsThingTopic(channel, { thing_id: 3 });
  const socket = sockets.at(-1);
  assert.deepEqual(socket.sent, []);
  const subscribe = { action: "subscribe", version: 1, topic: "thing:3" };
  socket.open();
  socket.open();
  assert.deepEqual(socket.sent, [subscribe, subscribe]);
  const got = [];
  topic.onPongMessage((message) => got.push(message));
  topic.sendPingMessage();
  socket.receive({ action: "pong", topic: "thing:3" });
  socket.receive({ action: "pong", topic: "thing:4" });
  socket.receive({ action: "pong" });
  topic.unsubscribe();
  socket.receive({ action: "pong", topic: "thing:3" });
  socket.open();
  assert.deepEqual(got, [{ action: "pong" }]);
  assert.deepEqual(socket.sent.slice(2), [
    { action: "ping", version: 1, topic: "thing:3" },
    { action: "unsubscribe", version: 1, topic: "thing:3" },
  ]);
  const late = new things.AllThingsThingTopic(channel, { thing_id: 5 });
  assert.deepEqual(socket.sent.at(-1), { ...subscribe, topic: late.name });
});

test("a topic may be given up before there is a connection, and by another object of its name", () => {
  const channel = new things.AllThingsChannel({ class: "a", number: 1 }, { base });
  const socket = sockets.at(-1);
  socket.readyState = 0;
  const first = new things.AllThingsThingTopic(channel, { thing_id: 3 });
  first.unsubscribe();
  const second = new things.AllThingsThingTopic(channel, { thing_id: 3 });
  first.unsubscribe();
  const got = [];
  second.onPongMessage((message) => got.push(message));
  socket.open();
  socket.receive({ action: "pong", topic: "thing:3" });
  assert.deepEqual(got, [{ action: "pong" }]);
  assert.deepEqual(socket.sent, [{ action: "subscribe", version: 1, topic: "thing:3" }]);
});

test("a connection that is a topic gets all of its messages", () => {
  const channel = new things.ThingThingChannel({ thing_id: 4 }, { base });
  const got = [];
  channel.onSubscribedMessage((message) => got.push(message));
  opened(channel).receive({ action: "subscribed", topic: "thing:4", version: 1 });
  assert.deepEqual(got, [{ action: "subscribed" }]);
});

test("the field that tells messages apart may have another name", () => {
  const channel = new things.KindsChannel({ base });
  const socket = opened(channel);
  const got = [];
  channel.onMeetOutputKind((message) => got.push(message.kind));
  channel.sendMeetInputKind({ payload: { first_name: "Ada" } });
  socket.receive({ kind: "meet", payload: {} });
  assert.deepEqual(socket.sent, [{ kind: "meet", payload: { first_name: "Ada" } }]);
  assert.deepEqual(got, ["meet"]);
});
