/** Plays ../transcripts.json against the page's socket; tests of other clients play the same file. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { Socket } from "../../../compat/client/socket.mjs";
import { World } from "./world.mjs";

const transcripts = JSON.parse(readFileSync(new URL("../transcripts.json", import.meta.url), "utf8"));

/** What a step names: text as it is, `{base64}`, or `{repeat, count}`. */
function frame(data) {
  if (typeof data === "string") return data;
  if ("repeat" in data) return data.repeat.repeat(data.count);
  if ("base64" in data) {
    const bytes = Buffer.from(data.base64, "base64");
    return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
  }
  return data;
}

function written(data) {
  return data instanceof ArrayBuffer ? { base64: Buffer.from(data).toString("base64") } : data;
}

function play({ protocols = [], only = false, ticket = "", steps, name }) {
  const world = new World();
  const url = `wss://example.com/${encodeURIComponent(name)}`;
  const socket = world.follow(new Socket(url, protocols, { only, ticket, env: world.env }));
  let wanted = { wire: [], events: [], before: "the beginning" };
  const check = async (next) => {
    await Promise.resolve();
    const wire = world.takeWire().map((one) => ("client" in one ? { client: written(one.client) } : one));
    const events = world.takeEvents().map((one) => {
      if ("data" in one) return { ...one, data: written(one.data) };
      return "frames" in one ? { ...one, frames: one.frames.map(written) } : one;
    });
    assert.deepEqual(wire, wanted.wire, `on the wire after ${wanted.before}`);
    assert.deepEqual(events, wanted.events, `events after ${wanted.before}`);
    wanted = { wire: [], events: [], before: JSON.stringify(next) };
  };
  const stimuli = {
    accept: (protocol) => world.accept(protocol),
    server: (data) => world.serve(frame(data)),
    end: (code, { reason }) => world.end(code, reason),
    send: (data) => socket.send(frame(data)),
    close: ({ code, reason }) => socket.close(code, reason),
    wait: (seconds) => world.clock.wait(seconds),
  };
  return (async () => {
    for (const step of steps) {
      const { times = 1, ...rest } = step;
      const stimulus = Object.keys(stimuli).find((one) => one in rest);
      if (stimulus) {
        await check(rest);
        for (let time = 0; time < times; time += 1) stimuli[stimulus](rest[stimulus], rest);
      } else {
        const made = rest.data === undefined ? rest : { ...rest, data: written(frame(rest.data)) };
        for (let time = 0; time < times; time += 1) ("event" in rest ? wanted.events : wanted.wire).push(made);
      }
    }
    await check("the end");
  })();
}

for (const transcript of transcripts) test(transcript.name, () => play(transcript));
