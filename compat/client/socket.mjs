/**
 * A WebSocket that survives the loss of its connection: it comes back to the same consumer, and both sides
 * send again what the other has not received. Against a server that does not resume, it is a plain WebSocket
 * that connects again.
 *
 * A *link* is one native WebSocket or, where these are blocked, a `RequestLink`. Frames are counted on both sides
 * and go on being counted over links.
 *
 * @typedef {string | ArrayBuffer | ArrayBufferView | Blob} Data
 * @typedef {{
 *   WebSocket: typeof WebSocket,
 *   fetch: typeof fetch | null,
 *   setTimeout: (call: (value?: any) => void, milliseconds: number) => any,
 *   clearTimeout: (timer: any) => void,
 *   task: (call: (value?: any) => void) => void,
 *   now: () => number,
 *   random: () => number,
 *   window: any,
 *   document: any,
 * }} Environment What a socket takes from the page; a test gives its own.
 * @typedef {{only?: boolean, ticket?: string, env?: Partial<Environment>}} Options With `only`, a socket whose
 *   connection is gone fires `close` and stays closed. `ticket` is that of the page (`layer.ticket()`).
 * @typedef {{code: number, reason?: string, wasClean?: boolean}} End
 */

const RESUME = "channels.resume.v1";
const MARK = "\u0010";
// Outcomes: the old connection was somebody else's.
const OTHERS = ["user", "refused"];
const COMES_BACK_AFTER = [1001, 1005, 1006, 1012, 1013];
const GONE = 4410;
/** With the reason "replaced": of a link that another one has replaced, perhaps one that was given up before. */
const REPLACED = 4409;
/** The reason, with 1011, of uvicorn's close of a link whose pings nobody has answered: it is lost. */
const UNANSWERED = "keepalive ping timeout";
const LOST = { code: 1006 };

const QUEUE = 1024 * 1024;
const ACK_FRAMES = 128;
const ACK_BYTES = 64 * 1024;
const ACK_MS = 15000;
const SILENCE_MS = 25000;
const STEADY_MS = 5000;
const PING_MS = 3000;
const HELLO_MS = 10000;
const HELD_MS = 3000;
const WAY_MS = 600000;
const TICKET_MS = 24 * 3600000;
const MOST_ENDED = 32;
const BODY = 64 * 1024;
const BUSY_MS = 1000;
/**
 * By the status of a post that would be refused again: the code of the close.
 *
 * @type {any}
 */
const FINAL = { 400: 1007, 413: 1009 };
const JITTER_MS = 300;
const LONGEST_MS = 30000;

/**
 * The sockets of the page, and those that have ended and that neither a new one of their URL has followed nor the
 * page has closed, in the order of their ends: their `url`; `until`, if one has ended; `left`, what the next one takes
 * over; the `socket`.
 *
 * @type {Set<any>}
 */
const places = new Set();

/**
 * By host: whether requests were needed there, "stream" or "poll", and until when that is remembered; until 0 where a
 * websocket has worked: an outage is likelier there than a network that blocks it. By URL: that its server is "plain".
 */
const ways = new Map();
const OUTAGES = 6;

/** @type {any} */
const { WebSocket: found } = globalThis;

/** @type {Environment} */
const page = {
  // One that is installed has the browser's own.
  WebSocket: found?.native || found,
  fetch: globalThis.fetch,
  setTimeout: (call, milliseconds) => setTimeout(call, milliseconds),
  clearTimeout: (timer) => clearTimeout(timer),
  // Timers are put off in hidden pages.
  task: (call) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      call();
    };
    port2.postMessage(0);
  },
  now: () => Date.now(),
  random: () => Math.random(),
  window: globalThis,
  document: globalThis.document,
};

/**
 * Who is in a group: `people` by key, as the server's `layer.presence()` has them. It fires `change`.
 */
export class Presence extends EventTarget {
  /** @param {string} group */
  constructor(group) {
    super();
    this.group = group;
    /** @type {Record<string, {metas: any[], away: boolean}>} */
    this.people = {};
    /** Why the page may not see them; empty if it may. */
    this.refused = "";
  }

  /** @param {any} told */
  _take({ people, joins, leaves, refused = "" }) {
    this.people = people || (refused ? {} : { ...this.people, ...joins });
    for (const key in leaves) delete this.people[key];
    this.refused = refused;
    this.dispatchEvent(new Event("change"));
  }
}

/**
 * What a WebSocket does, by requests to the same URL: the server's frames come in one response after the other,
 * the page's go in posts. Each response of a poll ends with the first frames, for proxies that hold them back.
 */
class RequestLink {
  /**
   * @param {string} url
   * @param {string[]} offered subprotocols
   * @param {string} transport "stream" or "poll"
   * @param {number} received data frames, in the connection whose ticket is offered
   * @param {Environment} env
   */
  constructor(url, offered, transport, received, env) {
    this.protocol = this.extensions = "";
    /** @type {BinaryType} */
    this.binaryType = "blob";
    /** @type {any} */
    this.onopen = null;
    /** @type {any} */
    this.onmessage = null;
    /** @type {any} */
    this.onclose = null;
    this._url = url.replace("ws", "http");
    this._transport = transport;
    this._received = received;
    this._env = env;
    this._ticket = "";
    // Of the first frame in `_out`.
    this._number = 0;
    /** @type {Data[]} */
    this._out = [];
    this._opened = this._again = this._posting = this._ended = false;
    /** @type {End | null} */
    this._closing = null;
    this._abort = new AbortController();
    this._read(offered);
  }

  get bufferedAmount() {
    return this._out.reduce((size, data) => size + sizeOf(data), 0);
  }

  /** @param {Data} data */
  send(data) {
    const { type, code } = isControl(data) ? parsed(data) : {};
    // The next poll says it.
    if (type === "ack" && this._transport === "poll") return;
    if (type === "bye" && !code && (this._posting || this._ended)) {
      // The page is left: it does not see how the post ends that is under way, or has lost its response already.
      const init = { body: JSON.stringify([data]), keepalive: true };
      this._request("send", this._offer(this._number), init).catch(() => {});
      return;
    }
    this._out.push(data);
    this._begin();
  }

  /** @param {number} [code] without one, at once */
  close(code, reason = "") {
    this._closing = this._opened ? { code: code || 1005, reason, wasClean: true } : LOST;
    if (!code) return this._end(LOST);
    if (!this._posting) {
      Promise.resolve().then(() => this._end(LOST));
      return;
    }
    // A post may hang, or be put off for ever.
    this._env.setTimeout(() => {
      this._closing = null;
      this._end(LOST);
    }, LONGEST_MS);
  }

  /** @param {End} end */
  _end(end) {
    if (this._ended) return;
    this._ended = true;
    this._abort.abort();
    this.onclose?.(this._closing || end);
  }

  /**
   * @param {string} transport
   * @param {string[]} offered
   * @param {RequestInit} init
   */
  _request(transport, offered, init) {
    const headers = { "Channels-Transport": transport, "Channels-Protocols": offered.join(", ") };
    /** @type {any} */
    const { fetch } = this._env;
    // A redirect could take the ticket to another origin.
    const how = { method: "POST", credentials: "include", redirect: "error" };
    return fetch(this._url, { headers, ...how, ...init });
  }

  /** @param {string | number} count */
  _offer(count) {
    return [RESUME, `channels.ticket.${this._ticket}.${count}`];
  }

  /** @param {string[]} offered */
  async _read(offered) {
    try {
      const response = await this._request(this._transport, offered, { signal: this._abort.signal });
      const reader = response.ok && response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let rest = "", part; reader && !(part = await reader.read()).done; ) {
        // An event is a line, and one that is empty.
        const lines = part.value.split("\n");
        lines[0] = rest + lines[0];
        rest = lines.pop();
        for (const line of lines) {
          if (!line || this._ended) continue;
          // It begins with "data: ".
          this._take(JSON.parse(line.slice(6)));
          // As those of a WebSocket, so that code that awaits one event hears the next.
          await new Promise(this._env.task);
        }
      }
    } catch {}
    if (this._again) {
      this._again = false;
      this._read(this._offer(`${this._received}.only`));
    } else {
      this._end(LOST);
    }
  }

  /** @param {any} event */
  _take(event) {
    const { open, again, close } = event;
    if (again) {
      this._again = true;
    } else if (close) {
      const [code, reason] = close;
      this._end({ code: code === GONE && this._ticket ? 1006 : code, reason, wasClean: true });
    } else if (open !== undefined) {
      if (this._opened) return;
      this._opened = true;
      this.protocol = open;
      this.onopen?.();
    } else {
      let data = event;
      if (typeof event !== "string") {
        const bytes = Uint8Array.from(atob(event[0]), (one) => one.charCodeAt(0));
        data = this.binaryType === "blob" ? new Blob([bytes]) : bytes.buffer;
      }
      if (isControl(data)) this._note(parsed(data));
      else this._received += 1;
      this.onmessage?.({ data, origin: new URL(this._url).origin.replace("http", "ws") });
      this._begin();
    }
  }

  /** @param {any} control */
  _note({ type, ticket, have, recovered }) {
    if (type === "hello" && !this._ticket) {
      this._number = have;
      if (recovered !== "all") this._received = 0;
    }
    this._ticket = ticket || this._ticket;
  }

  _begin() {
    if (this._posting || !this._ticket || !this._out.length) return;
    this._posting = true;
    this._post().catch(() => this._end(LOST));
  }

  async _post() {
    while (this._out.length && !this._ended) {
      const frames = [];
      let size = 0;
      let numbered = 0;
      for (const data of this._out) {
        size += sizeOf(data);
        if (frames.length && (size > BODY || frames.length >= ACK_FRAMES)) break;
        // Half a surrogate pair is replaced, as by a WebSocket.
        frames.push(typeof data === "string" ? data.replace(/\p{Cs}/gu, "\ufffd") : [await base64(data)]);
        if (!isControl(data)) numbered += 1;
      }
      const body = JSON.stringify(frames);
      // What is short survives the page, as a goodbye has to.
      const init = { body, keepalive: body.length < 1000 };
      const { status } = await this._request("send", this._offer(this._number), init);
      if (status === 503) {
        await new Promise((done) => this._env.setTimeout(done, BUSY_MS));
      } else if (status === 204) {
        this._out.splice(0, frames.length);
        this._number += numbered;
      } else {
        return this._end({ code: FINAL[status] || 1006 });
      }
    }
    this._posting = false;
    if (this._closing) this._end(this._closing);
  }
}

export class Socket extends EventTarget {
  /**
   * @param {string | URL} url
   * @param {string | string[]} [protocols] the page's own subprotocols
   * @param {Options} [options]
   */
  constructor(url, protocols = [], options = {}) {
    super();
    /** @type {Environment} */
    this._env = { ...page, ...options.env };
    this._only = options.only;
    this._own = [protocols].flat();
    const { href, host } = resolve(url, this._env);
    this._url = href;
    this._host = host;
    this._ready = 0;
    this._protocol = "";
    // By type.
    /** @type {any} */
    this._handlers = {};
    /** @type {WebSocket | RequestLink | null} */
    this._link = null;
    // That, or the one before.
    this._last = this._link;
    // That of the link: "socket", "plain", "stream" or "poll".
    this._way = "socket";
    // A stream's response was held back, so the next link polls.
    this._held = false;
    /** @type {"" | "resume" | "plain"} What the server is; its first frame tells. */
    this._mode = "";
    // Data may go over the link.
    this._up = false;
    // The link has brought a ticket.
    this._offered = false;
    /** @type {(() => void)[] | null} What is done in the next tasks, one after the other; the link's events wait. */
    this._waiting = null;
    // The server has yet to say what was recovered.
    this._due = false;
    // The link has brought a frame.
    this._heard = false;
    this._heardAt = 0;
    this._linkedAt = 0;
    // `open` has been fired.
    this._opened = false;
    // By the page.
    this._closing = false;
    this._ended = false;
    this._failures = 0;
    // How many ways there are to try.
    this._turns = this._env.fetch ? 4 : 3;
    // What the next attempts are, where it is not the failures that say it.
    /** @type {string[]} */
    this._trial = [];
    // For how long an answer is waited for; it may be behind a large frame.
    this._patience = PING_MS;
    this._askedAt = -Infinity;
    // For how long the timer "limit" was set.
    this._limited = 0;
    // How many of the last links that brought a frame were lost soon.
    this._quick = 0;
    /** @type {BinaryType} */
    this._binaryType = "blob";
    /** @type {Record<string, any>} */
    this._timers = {};

    // Frames that the server has not acknowledged: the number of the first, how many of them were sent on this
    // link, and how many on any.
    /** @type {Data[]} */
    this._frames = [];
    this._base = 0;
    this._sent = 0;
    this._ever = 0;
    // Bytes.
    this._queued = 0;

    this._ticket = options.ticket || "";
    // Seconds.
    this._park = 0;
    this._lostAt = this._env.now();
    this._received = 0;
    this._acknowledged = 0;
    this._newBytes = 0;
    /** @type {Map<string, Presence>} */
    this._people = new Map();
    let ended;
    for (const one of places) {
      if (one.until <= this._lostAt) places.delete(one);
      else if (one.url === href && one.until) ended = ended || one;
    }
    Object.assign(this, ended?.left);
    this._wake = this._onWake.bind(this);
    // It throws for a wrong subprotocol: such a socket takes nothing, and has no place.
    this._connect();
    places.delete(ended);
    /** @type {any} */
    this._place = { url: href, socket: this };
    places.add(this._place);
    this._listen("addEventListener");
  }

  /** What people are shown: "connecting", "open", "returning" or "closed". */
  get state() {
    if (this._closing || this._ended) return "closed";
    return !this._opened ? "connecting" : this._up ? "open" : "returning";
  }

  // A page may have another use for the name.
  set state(value) { Object.defineProperty(this, "state", { value, writable: true }); }

  get url() { return this._url; }
  get readyState() { return this._ready; }
  get protocol() { return this._protocol; }
  get binaryType() { return this._binaryType; }
  set binaryType(type) {
    this._binaryType = type;
    if (this._link) this._link.binaryType = type;
  }

  get bufferedAmount() { return this._queued + (this._link?.bufferedAmount || 0); }
  get extensions() { return this._link?.extensions || ""; }

  /**
   * Sends a frame, or keeps it until the connection is back.
   *
   * Throws InvalidStateError before the first `open`, and QuotaExceededError if more than 1 MiB waits.
   *
   * @param {Data} data
   */
  send(data) {
    if (this._ready === 0) throw new DOMException("The socket is not open.", "InvalidStateError");
    if (this._ready !== 1) return;
    const frame = kept(data);
    if (!this._up) {
      const size = sizeOf(frame);
      if (this._queued + size > QUEUE) {
        throw new DOMException("The queue has more than 1 MiB.", "QuotaExceededError");
      }
      this._queued += size;
    }
    this._frames.push(frame);
    if (this._up) this._flush();
  }

  /**
   * Watches who is in a group that the consumer has joined, where the layer's option `presence` is `public`.
   * After a refusal the server is asked again: the consumer may have joined the group since.
   *
   * @param {string} group
   */
  presence(group) {
    const known = this._people.get(group);
    if (known && !known.refused) return known;
    const watched = known || new Presence(group);
    // Until the answer comes it is not asked once more.
    watched.refused = "";
    this._people.set(group, watched);
    if (this._up) this._watchPeople([group]);
    return watched;
  }

  /** @param {Iterable<string>} groups */
  _watchPeople(groups) {
    if (this._mode === "resume") for (const group of groups) this._control({ type: "presence", group });
  }

  /**
   * Says goodbye and closes: the consumer is told at once.
   *
   * @param {number} [code] 1000, or 3000 to 4999
   * @param {string} [reason] at most 123 bytes
   */
  close(code = 1000, reason = "") {
    code = +code;
    if (code !== 1000 && !(code >= 3000 && code <= 4999)) {
      throw new DOMException("The code is 1000, or 3000 to 4999.", "InvalidAccessError");
    }
    if (new TextEncoder().encode(reason).length > 123) {
      throw new DOMException("The reason has more than 123 bytes.", "SyntaxError");
    }
    // What the page does not want any more is not for its next socket, which may be for something else.
    this._leave();
    if (this._closing || this._ended) return;
    this._closing = true;
    this._ready = 2;
    this._stop();
    if (!this._link) {
      Promise.resolve().then(() => this._end(LOST));
      return;
    }
    if (this._mode === "resume") {
      // A websocket's close brings the code.
      this._control({ type: "bye", code: this._way === "socket" ? undefined : code });
    }
    this._link.close(code, reason);
  }

  toJSON() { return {}; }

  // Links

  _connect() {
    const { WebSocket, now } = this._env;
    const way = this._nextWay();
    const requests = way === "stream" || way === "poll";
    const plain = way === "plain" || way === "probe";
    const offered = plain ? this._own : [RESUME, ...this._own];
    this._offered = !plain && this._ticket !== "";
    if (this._offered) {
      const only = this._only && this._opened ? ".only" : "";
      offered.push(`channels.ticket.${this._ticket}.${this._received}${only}`);
    }
    /** @type {any} */
    const link = requests
      ? new RequestLink(this._url, offered, way, this._received, this._env)
      : new WebSocket(this._url, offered);
    this._link = this._last = link;
    this._way = way;
    this._mode = plain ? "plain" : "";
    this._heard = false;
    this._heardAt = this._linkedAt = now();
    link.binaryType = this._binaryType;
    /** @type {(call: (event: any) => void) => (event: any) => void} */
    const hear = (call) => (event) => {
      const go = () => link === this._link && call.call(this, event);
      this._waiting?.push(go) ?? go();
    };
    link.onopen = hear(this._onOpen);
    link.onmessage = hear(this._onMessage);
    link.onclose = hear(this._onClose);
    // Where a policy blocks it, no `close` follows.
    link.onerror = () => this._env.task(hear(() => this._drop(1006)));
    // A consumer may be slow to accept: after each failure but the first it has longer.
    const patient = Math.min(this._rest(), (HELLO_MS / 2) * 2 ** Math.min(this._failures, 4));
    this._limit(way === "stream" ? HELD_MS : Math.max(HELLO_MS, patient));
  }

  /**
   * Browsers fail a handshake whose subprotocols are all refused, and some networks fail them all: after two
   * attempts come one by requests, and one that offers none of ours.
   */
  _nextWay() {
    const { now } = this._env;
    const turn = this._failures % this._turns;
    const { way, until } = (!this._ticket && ways.get(this._url)) || ways.get(this._host) || {};
    const needed = until > now() ? way : "";
    if (this._held) {
      this._held = false;
      return "poll";
    }
    const tried = this._trial.shift();
    if (tried) return tried === "plain" ? tried : needed || tried;
    if (turn < 2) return needed || "socket";
    if (turn === this._turns - 1) {
      // A plain link would cost the ticket: the server does not resume any more if it answers only such a one.
      return now() < this._lostAt + this._park * 1000 ? "socket" : "probe";
    }
    const outages = Math.max(this._failures, this._quick);
    return needed || (until === 0 && outages < OUTAGES) ? "socket" : "stream";
  }

  /** @param {string} where that the way of this link is needed */
  _remember(where) {
    ways.set(where, { way: this._way, until: this._way === "socket" ? 0 : this._env.now() + WAY_MS });
  }

  _onOpen() {
    if (this._way === "probe") {
      this._trial = ["socket", "plain"];
      this._abandon();
      this._connect();
    } else if (this._mode === "plain") {
      this._remember(this._url);
      this._isPlain();
    } else if (this._link?.protocol === RESUME) {
      // It does resume.
      this._trial = [];
    } else if (!this._offered) {
      if (this._anew(() => this._onOpen())) return;
      // The consumer's own subprotocol: perhaps a hello follows, perhaps the server waits for the page.
      this._begin(false);
      this._limit(HELLO_MS);
    }
  }

  /**
   * @param {number} milliseconds in which the link has to bring a frame
   * @param {number} [unsent] bytes: the time begins again while they become fewer
   */
  _limit(milliseconds, unsent = 0) {
    this._limited = milliseconds;
    this._timer("limit", milliseconds, () => {
      const rest = this.bufferedAmount;
      if (rest < unsent) return this._limit(milliseconds, rest);
      if (this._up && this._mode === "") return this._isPlain();
      if (this._mode === "resume") this._patience = 2 * Math.min(this._patience, LONGEST_MS);
      // A server may take the first subprotocol that is offered, and wait for the page.
      else if (this._way === "socket" && this._link?.protocol === RESUME && !this._ticket) this._trial = ["plain"];
      if (this._way !== "stream" || this._heard) return this._drop(1006);
      // Something holds the response back: polls end theirs.
      this._held = true;
      this._abandon();
      this._connect();
    });
  }

  /** @param {MessageEvent} event */
  _onMessage(event) {
    const { data } = event;
    const control = isControl(data) ? parsed(data) : null;
    this._heard = true;
    const now = this._env.now();
    // An answer, or frames in a row, once the link has lived for a while.
    const soon = now - Math.max(this._askedAt, this._heardAt) < PING_MS && now - this._linkedAt > STEADY_MS;
    if (soon) this._patience = PING_MS;
    this._heardAt = now;
    this._clear("limit");
    if (this._mode === "") {
      if (control?.type === "hello") return this._onHello(control);
      this._isPlain();
      if (this._waiting) {
        this._waiting.push(() => this._onMessage(event));
        return;
      }
    }
    if (this._mode === "plain") return this._deliver(event, data);
    if (control) return this._onControl(control);
    this._received += 1;
    this._newBytes += sizeOf(data);
    this._deliver(event, data[0] === MARK ? data.slice(1) : data);
    if (!this._up) return;
    if (this._received - this._acknowledged >= ACK_FRAMES || this._newBytes >= ACK_BYTES) this._ack();
    else if (!this._timers.ack) this._timer("ack", ACK_MS, () => this._ack());
  }

  /** @param {any} hello */
  _onHello(hello) {
    const all = this._offered && hello.recovered === "all";
    this._mode = "resume";
    if (!all && this._anew(() => this._onHello(hello))) return;
    this._trial = [];
    this._remember(this._host);
    this._ticket = hello.ticket;
    this._park = hello.park;
    this._watch();
    if (all) {
      // The server works, whatever cuts its links.
      this._failures = Math.min(this._failures, this._way === "socket" ? 1 : 0);
      this._forget(hello.have - this._base);
      this._base = hello.have;
    } else if (this._offered && OTHERS.includes(hello.why)) {
      // Nothing goes on that was kept for somebody else's connection.
      this._ever = this._frames.length;
    }
    if (this._up) {
      this._ack();
      this._flush();
    } else {
      this._begin(all);
    }
    this._watchPeople(this._people.keys());
    // Otherwise the verdict follows what is replayed; if it is lost, it comes on the next link, after an "all".
    if (!all) this._due = this._offered && !("recovered" in hello);
    if (this._offered && !this._due) this._tellOutcome(hello);
  }

  /** @param {any} control */
  _onControl(control) {
    if (control.ticket) this._ticket = control.ticket;
    const { type, again } = control;
    if (type === "ack" || type === "hello") {
      const count = Math.min((control.n ?? control.have) - this._base, this._sent);
      this._base += Math.max(0, count);
      this._forget(count);
      if (control.ask) this._ack();
      // The hello of a link's later response.
      if (type === "hello" && !again) this._watchPeople(this._people.keys());
    } else if (type === "verdict") {
      this._due = false;
      this._tellOutcome(control);
    } else if (type === "presence") {
      this._people.get(control.group)?._take(control);
    } else if (type === "go") {
      this._timer("go", this._env.random() * control.within * 1000, () => this._drop(1012));
    }
  }

  /** The server does not resume. */
  _isPlain() {
    // What the page wanted only is not there.
    if (this._only && this._opened && !this._up) return this._drop(GONE);
    this._mode = "plain";
    if (this._anew(() => this._isPlain())) return;
    const lost = this._ticket !== "";
    this._ticket = "";
    this._trial = [];
    if (this._up) this._flush();
    else this._begin(false, lost);
  }

  /**
   * Fires `close` where the page's code begins anew, and calls in a later task: that code may await both events.
   *
   * @param {() => void} call
   * @returns {boolean} whether it does
   */
  _anew(call) {
    if (!this._opened || this._up || this._ready > 1) return false;
    const waiting = (this._waiting = [() => this._closing || call()]);
    const next = () => {
      if (waiting !== this._waiting) return;
      const go = waiting.shift();
      if (!go) this._waiting = null;
      else {
        go();
        this._env.task(next);
      }
    };
    this._ready = 3;
    this.dispatchEvent(new CloseEvent("close", LOST));
    this._env.task(next);
    return true;
  }

  /**
   * Data may go over the link: the connection goes on, or a new one begins.
   *
   * @param {boolean} all
   * @param {boolean} [lost] there was a ticket
   */
  _begin(all, lost = false) {
    const again = this._opened;
    this._clear("limit");
    /** @type {Data[]} */
    let unsure = [];
    /** @type {Data[]} */
    let waiting = [];
    this._sent = 0;
    this._queued = 0;
    if (!all) {
      unsure = this._frames.splice(0, this._ever);
      waiting = this._frames;
      this._frames = [];
      this._base = this._ever = this._received = 0;
    }
    if (this._mode === "resume") this._ack();
    const chosen = this._link?.protocol || "";
    this._protocol = chosen === RESUME ? "" : chosen;
    this._up = true;
    this._opened = true;
    this._ready = 1;
    // Frames of the page's code for it come first.
    if (!again || !all) this.dispatchEvent(new Event("open"));
    this._tellUnsure(unsure);
    this._frames = this._frames.concat(waiting);
    this._flush();
    if (again ? this._mode === "plain" || !this._offered : lost) this._tellOutcome({ why: "plain" });
  }

  /** @param {End} end */
  _onClose(end) {
    const up = this._up;
    const now = this._env.now();
    this._stop();
    this._link = this._waiting = null;
    this._up = false;
    if (this._closing) return this._end(end);
    const replaced = this._mode !== "plain" && end.code === REPLACED && end.reason === "replaced";
    if (replaced || (end.code === 1011 && end.reason === UNANSWERED)) end = LOST;
    // A server may greet its clients, and let them go at once; the first time is free.
    const quick = this._heard && now - this._linkedAt < STEADY_MS;
    const worked = (this._heard && !(quick && this._quick)) || (up && now - this._heardAt > SILENCE_MS);
    if (this._heard) this._quick = quick ? this._quick + 1 : 0;
    this._failures = worked ? 0 : this._failures + 1;
    if (up) this._lostAt = now;
    if (this._only && end.code === GONE) return this._end(LOST);
    const over = this._only && (up ? this._mode !== "resume" : !this._opened && this._failures >= this._turns);
    if ((over && !this._trial.length) || !COMES_BACK_AFTER.includes(end.code)) return this._end(end);
    if (up) this._tell("offline", { code: end.code });
    if (!this._closing) this._retry();
  }

  /** Connects after a while; ends a socket with `only` when the server has nothing left for it. */
  _retry() {
    const max = Math.min(LONGEST_MS, JITTER_MS * 2 ** this._failures);
    const delay = this._trial.length ? 0 : this._env.random() * max;
    const left = this._rest();
    if (left <= 0) this._end(LOST);
    else if (delay < left) this._timer("retry", delay, () => this._connect());
    else this._timer("retry", left, () => this._end(LOST));
  }

  /** For how long a socket with `only` may come back. */
  _rest() {
    return this._only && this._opened ? this._lostAt + this._park * 1000 - this._env.now() : Infinity;
  }

  /** @param {number} code what the page is told */
  _drop(code) {
    this._abandon();
    this._onClose({ code });
  }

  _abandon() {
    const link = this._link;
    // It is not heard any more.
    this._link = null;
    // Without a code, which is no goodbye.
    link?.close();
  }

  /** Leaves nothing to the next socket of the URL. */
  _leave() {
    if (places.delete(this._place)) this._tellUnsure(this._place.left?._frames);
  }

  /** @param {End} end */
  _end({ code, reason, wasClean }) {
    this._stop();
    this._ended = true;
    this._ready = 3;
    this._listen("removeEventListener");
    const place = this._place;
    // Of several sockets nobody could tell which one the next one follows.
    const alone = [...places].every((one) => one === place || one.url !== place.url);
    const leaves = alone && this._only && this._ticket && COMES_BACK_AFTER.includes(code);
    const unsure = this._frames.splice(0, leaves && !this._own.length ? this._ever : Infinity);
    place.until = this._lostAt + TICKET_MS;
    if (places.delete(place)) places.add(place);
    if (leaves) {
      this._base += unsure.length;
      const { _ticket, _received, _park, _lostAt, _frames, _due, _base } = this;
      place.left = { _ticket, _received, _park, _lostAt, _frames, _due, _base };
    }
    // Handlers of these events call `close()` by habit.
    this._place = null;
    if (!this._closing) this._tellUnsure(unsure);
    if (code === 1006 && !this._opened) this.dispatchEvent(new Event("error"));
    this.dispatchEvent(new CloseEvent("close", { code, reason, wasClean }));
    this._place = place;
    // A page may have a new URL for each socket, by a token in the query.
    const ended = [...places].filter((one) => one.until);
    if (ended.length > MOST_ENDED) ended[0].socket._leave();
  }

  // Frames

  _flush() {
    const link = this._link;
    while (link && this._sent < this._frames.length) {
      /** @type {any} */
      let frame = this._frames[this._sent];
      if (typeof frame === "string" && frame[0] === MARK) {
        // Doubled or not: the first frame of the server tells.
        if (this._mode === "") break;
        if (this._mode === "resume") frame = MARK + frame;
      }
      link.send(frame);
      this._sent += 1;
    }
    this._ever = Math.max(this._ever, this._sent);
    if (this._mode === "plain") this._forget(this._sent);
  }

  /** @param {number} count of frames that need not be sent again */
  _forget(count) {
    if (!(count > 0)) return;
    this._frames.splice(0, count);
    this._sent = Math.max(0, this._sent - count);
    this._ever = Math.max(0, this._ever - count);
  }

  /** @param {object} control */
  _control(control) {
    this._link?.send(MARK + JSON.stringify(control));
  }

  _ack() {
    this._clear("ack");
    this._acknowledged = this._received;
    this._newBytes = 0;
    this._control({ type: "ack", n: this._received });
  }

  // Silence, sleep, and pages that come and go

  _watch() {
    const rest = this._heardAt + SILENCE_MS - this._env.now();
    // It is more than the whole if the clock was set back.
    const quiet = rest <= 0 || rest > SILENCE_MS;
    if (quiet) this._ping();
    this._timer("watch", quiet ? SILENCE_MS : rest, () => this._watch());
  }

  _ping(within = this._patience) {
    if (this._timers.limit) return;
    // The answer may be behind a frame that is on its way.
    const unsent = this.bufferedAmount;
    this._control({ type: "ping" });
    this._askedAt = this._env.now();
    this._limit(within, unsent);
  }

  /** @param {any} event */
  _onWake({ type, persisted }) {
    if (this._closing) return;
    if (type === "pagehide" || type === "freeze") {
      if (this._mode !== "resume") return;
      // Browsers end a page's requests before they say that it is left. One that is kept answers nobody.
      if (type !== "freeze" && !persisted) this._last?.send(`${MARK}{"type":"bye"}`);
      else if (this._up) this._drop(1006);
      return;
    }
    if (type === "pageshow" && !persisted) return;
    if (type === "visibilitychange" && this._env.document.hidden) return;
    if (this._timers.retry) {
      this._clear("retry");
      this._connect();
    } else if (this._timers.limit) {
      // Of before. An attempt that has just begun has its time, and so has a server that has yet to say hello.
      const old = this._up ? this._mode === "resume" : this._env.now() - this._linkedAt >= PING_MS;
      // Once, as several signs may follow.
      if (old && this._limited > PING_MS) this._limit(PING_MS, this.bufferedAmount);
    } else if (this._up && this._mode === "resume") {
      this._ping(PING_MS);
    }
  }

  /** @param {"addEventListener" | "removeEventListener"} method */
  _listen(method) {
    const { window } = this._env;
    const types = ["online", "pageshow", "pagehide", "visibilitychange", "freeze"];
    // The last two are the document's.
    for (const type of types) window?.[method]?.(type, this._wake, { capture: true });
  }

  /**
   * @param {string} name
   * @param {number} milliseconds
   * @param {() => void} call
   */
  _timer(name, milliseconds, call) {
    this._clear(name);
    this._timers[name] = this._env.setTimeout(() => {
      delete this._timers[name];
      call();
    }, milliseconds);
  }

  /** @param {string} name */
  _clear(name) {
    this._env.clearTimeout(this._timers[name]);
    delete this._timers[name];
  }

  _stop() {
    for (const name in this._timers) this._clear(name);
  }

  // What the page is told

  /**
   * @param {string} type
   * @param {object} detail
   */
  _tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  /** @param {Event} event */
  _handle(event) {
    const handler = this._handlers[event.type];
    if (handler) handler.call(this, event);
  }

  /**
   * @param {MessageEvent} event
   * @param {any} data
   */
  _deliver(event, data) {
    if (this._ready === 1) this.dispatchEvent(new MessageEvent("message", { data, origin: event.origin }));
  }

  /** @param {{recovered?: string, why?: string}} outcome */
  _tellOutcome({ recovered = "", why = "" }) {
    if (!this._closing) this._tell("resumed", { recovered, why });
  }

  /** @param {Data[]} [frames] */
  _tellUnsure(frames) {
    if (frames?.length) this._tell("unsure", { frames });
  }
}

// As with the browser's own: on the prototype, and in loops over it.
const { prototype } = Socket;
const shown = { enumerable: true, configurable: true };
for (const name of ["url", "readyState", "protocol", "binaryType", "bufferedAmount", "extensions"]) {
  Object.defineProperty(prototype, name, shown);
}
["CONNECTING", "OPEN", "CLOSING", "CLOSED"].forEach((name, value) => {
  for (const one of [Socket, prototype]) Object.defineProperty(one, name, { ...shown, value });
});
for (const type of ["open", "message", "close", "error", "offline", "resumed", "unsure"]) {
  Object.defineProperty(prototype, `on${type}`, {
    ...shown,
    get() { return this._handlers[type] || null; },
    set(handler) {
      this._handlers[type] = typeof handler === "function" && handler;
      this.addEventListener(type, this._handle);
    },
  });
}

/**
 * Replaces `WebSocket` for what goes to the page's host, or to that of the script.
 *
 * @param {{reconnect?: boolean, host?: string, ticket?: string, env?: Partial<Environment>}} [options] With
 *   `reconnect`, for pages that do not connect again by themselves. `ticket` is for the first socket.
 */
export function install({ reconnect = false, host = "", ticket = "", env = {} } = {}) {
  const { WebSocket: Native, window } = { ...page, ...env };
  const hosts = [window.location.host, host];
  class Installed extends Socket {
    /**
     * @param {string | URL} url
     * @param {string | string[]} [protocols]
     */
    constructor(url, protocols) {
      // @ts-ignore - a socket to another host is the native one
      if (!hosts.includes(resolve(url, { ...page, ...env }).host)) return new Native(url, protocols);
      super(url, protocols, { only: !reconnect, ticket, env });
      ticket = "";
    }
    static get native() { return Native; }
    /** @param {any} one */
    static [Symbol.hasInstance](one) {
      const is = Function.prototype[Symbol.hasInstance];
      return this === Installed ? is.call(Socket, one) || is.call(Native, one) : is.call(this, one);
    }
  }
  // Where code looks for what it wraps.
  Object.defineProperties(Installed.prototype, { ...Object.getOwnPropertyDescriptors(prototype), constructor: {} });
  window.WebSocket = Installed;
}

/**
 * @param {string | URL} url
 * @param {Environment} env
 */
function resolve(url, env) {
  let resolved;
  try {
    resolved = new URL(url, env.document?.baseURI || env.window.location?.href);
  } catch {}
  if (!resolved || resolved.href.includes("#")) {
    throw new DOMException(`"${url}" is no URL, or has a fragment.`, "SyntaxError");
  }
  resolved.protocol = resolved.protocol.replace("http", "ws");
  return resolved;
}

/**
 * Returns a frame that does not change any more: the page may go on writing to its buffer.
 *
 * @param {any} data
 * @returns {Data}
 */
function kept(data) {
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice();
  // By what they have: those of a frame are of other classes.
  if (data?.byteLength >= 0) return new Uint8Array(data).slice().buffer;
  return data?.slice && data.size >= 0 ? data : String(data);
}

/** @param {any} data */
function sizeOf(data) {
  return data.length ?? data.byteLength ?? data.size;
}

/**
 * @param {any} data
 * @returns {boolean} whether a frame is a control frame
 */
function isControl(data) {
  return typeof data === "string" && data[0] === MARK && data[1] !== MARK;
}

/** @param {any} data */
async function base64(data) {
  const bytes = new Uint8Array(await new Response(data).arrayBuffer());
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

/** @param {any} text */
function parsed(text) {
  try {
    return JSON.parse(text.slice(1)) || {};
  } catch {
    return {};
  }
}

// Only a classic script has one.
const script = page.document?.currentScript;
if (script && "install" in script.dataset) {
  const { install: how, ticket } = script.dataset;
  install({ reconnect: how === "reconnect", host: new URL(script.src || page.document.baseURI).host, ticket });
}
