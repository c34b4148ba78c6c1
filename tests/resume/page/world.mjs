/** A false clock, false links and a false window: all that a socket asks of a page. */

if (!globalThis.CloseEvent) {
  globalThis.CloseEvent = class CloseEvent extends Event {
    constructor(type, { code = 0, reason = "", wasClean = false } = {}) {
      super(type);
      Object.assign(this, { code, reason, wasClean });
    }
  };
}

export const MARK = "\u0010";

export class Clock {
  constructor() {
    this.time = 1_000_000;
    this.timers = new Map();
    this.number = 0;
  }

  setTimeout(call, milliseconds) {
    this.number += 1;
    this.timers.set(this.number, { at: this.time + milliseconds, call });
    return this.number;
  }

  clearTimeout(number) {
    this.timers.delete(number);
  }

  /** Goes on by so many seconds; timers fire in order, each at its time. */
  wait(seconds) {
    const until = this.time + seconds * 1000;
    for (;;) {
      const due = [...this.timers].filter(([, { at }]) => at <= until + 1e-6);
      due.sort(([one, a], [other, b]) => a.at - b.at || one - other);
      if (due.length === 0) break;
      const [number, { at, call }] = due[0];
      this.timers.delete(number);
      this.time = Math.max(this.time, at);
      call();
    }
    this.time = until;
  }

  /** The machine sleeps: time passes, and no timer fires until it is over. */
  sleep(seconds) {
    this.time += seconds * 1000;
    this.wait(0);
  }
}

/** What the socket has done, in order: on the wire, and to the page. */
export class World {
  constructor({ random = 0.5 } = {}) {
    this.clock = new Clock();
    this.random = random;
    this.window = new EventTarget();
    this.window.location = { host: "example.com" };
    this.document = new EventTarget();
    this.document.hidden = false;
    this.document.baseURI = "https://example.com/room/";
    this.wire = [];
    this.events = [];
    this.links = [];
    this.tasks = null; // those that wait, if a test has given a list; otherwise each is done at once
    const world = this;
    this.WebSocket = class {
      constructor(url, offered) {
        if (new Set(offered).size < offered.length) throw new DOMException("twice the same", "SyntaxError");
        Object.assign(this, { url, offered: [...offered], readyState: 0, protocol: "", extensions: "" });
        Object.assign(this, { bufferedAmount: 0, binaryType: "blob" });
        world.links.push(this);
        world.wire.push({ link: this.offered });
      }

      send(data) {
        if (this.readyState === 0) throw new Error("sent before the link was open");
        if (this.readyState === 1) world.wire.push({ client: data });
      }

      close(code, reason) {
        if (this.readyState > 1) return;
        this.readyState = 2;
        world.wire.push({ client_close: code ?? null });
        if (reason) world.wire[world.wire.length - 1].reason = reason;
      }
    };
  }

  get env() {
    const { clock, WebSocket, window, document } = this;
    return {
      WebSocket,
      fetch: null, // no requests, if a test does not give its own
      window,
      document,
      setTimeout: (call, milliseconds) => clock.setTimeout(call, milliseconds),
      clearTimeout: (number) => clock.clearTimeout(number),
      task: (call) => this.tasks?.push(call) ?? call(),
      now: () => clock.time,
      random: () => this.random,
    };
  }

  /** The newest link; there is never a second one that is open. */
  get link() {
    const open = this.links.filter((link) => link.readyState < 2);
    if (open.length > 1) throw new Error("two links at once");
    return this.links[this.links.length - 1];
  }

  accept(protocol = "channels.resume.v1") {
    const { link } = this;
    link.readyState = 1;
    link.protocol = protocol;
    link.onopen?.(new Event("open"));
  }

  /** The server sends text or binary, or a control frame. */
  serve(data) {
    const isControl = typeof data === "object" && "type" in data && !(data instanceof Blob);
    this.link.onmessage?.({ data: isControl ? MARK + JSON.stringify(data) : data, origin: "wss://example.com" });
  }

  hello(fields = {}) {
    this.serve({ type: "hello", ticket: `T${this.links.length}`, have: 0, park: 120, ...fields });
  }

  end(code = 1006, reason = "") {
    const { link } = this;
    link.readyState = 3;
    link.onclose?.({ code, reason, wasClean: code !== 1006 });
  }

  /** Writes down what a socket tells its page. */
  follow(socket) {
    const write = (name, fields) => socket.addEventListener(name, (event) => {
      this.events.push({ event: name, ...fields(event) });
    });
    write("open", () => ({}));
    write("message", ({ data }) => ({ data }));
    write("offline", ({ detail }) => detail);
    write("resumed", ({ detail }) => detail);
    write("unsure", ({ detail }) => detail);
    write("close", ({ code }) => ({ code }));
    return socket;
  }

  /** What has gone over the wire since the last call; control frames as objects. */
  takeWire() {
    return this.wire.splice(0).map((one) => {
      const { client } = one;
      const isControl = typeof client === "string" && client[0] === MARK && client[1] !== MARK;
      return isControl && client.length > 1 && client[1] === "{" ? { client: JSON.parse(client.slice(1)) } : one;
    });
  }

  takeEvents() {
    return this.events.splice(0);
  }

  /** A window's event: online, pageshow, pagehide; or one of its document, which the window has first. */
  fire(type, fields = {}) {
    this.window.dispatchEvent(Object.assign(new Event(type), fields));
  }

  show(state) {
    this.document.hidden = state === "hidden";
    this.fire("visibilitychange");
  }
}
