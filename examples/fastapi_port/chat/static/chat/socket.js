// A WebSocket that comes back: after a lost connection it waits, longer each time, and opens another.
//
// Where /_channels/socket.js has replaced WebSocket, a lost connection comes back by itself and has missed
// nothing; another is opened only when the server does not have the old one any more. Only there it knows people.

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;
const CAUGHT_UP_MS = 4000;

/**
 * `url()` is asked anew for every attempt. `onFrame(object)` gets each JSON frame, `onUnsure(objects)` those that
 * were sent and have perhaps not arrived, `onState(state)` each change:
 * {name: "connecting" | "open" | "returning" | "caught-up" | "waiting" | "offline", seconds} where seconds counts
 * down while waiting. `onPeople(people)` gets who is in the group `watch`, {key: {metas, away}}, at each change;
 * null if the page may not know.
 */
export class SteadySocket {
  #url; #onFrame; #onState; #onUnsure; #watch; #onPeople;
  #socket = null;
  #attempt = 0;
  #timer = null;

  constructor(url, { onFrame = () => {}, onState, onUnsure = () => {}, watch, onPeople }) {
    this.#url = url;
    this.#watch = watch;
    this.#onPeople = onPeople;
    this.#onFrame = onFrame;
    this.#onState = onState;
    this.#onUnsure = onUnsure;
    addEventListener("online", () => this.#openNow());
    addEventListener("offline", () => this.#isWaiting && this.#onState({ name: "offline" }));
    // A page that the browser keeps aside (for its "back" button) would keep its socket too, and its person in
    // the room: it lets go when it is left, and opens another when it is shown again.
    addEventListener("pagehide", () => this.#forget());
    addEventListener("pageshow", (event) => event.persisted && this.#openNow());
    this.#open();
  }

  get isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** True if the frame was handed to an open socket. */
  send(object) {
    if (!this.isOpen) return false;
    this.#socket.send(JSON.stringify(object));
    return true;
  }

  /** Do not wait any longer. */
  retry() {
    // To a socket that is coming back it is as if the network were.
    if (this.#socket?.state === "returning") dispatchEvent(new Event("online"));
    else this.#openNow();
  }

  #openNow() {
    if (this.isOpen || this.#socket?.readyState === WebSocket.CONNECTING) return;
    clearTimeout(this.#timer);
    this.#open();
  }

  /** Close this connection and open another, with the url as it is now. */
  reopen() {
    this.#forget();
    clearTimeout(this.#timer);
    this.#attempt = 0;
    this.#open();
  }

  get #isWaiting() {
    return this.#socket === null;
  }

  #open() {
    this.#onState({ name: "connecting", again: this.#attempt > 0 });
    const socket = (this.#socket = new WebSocket(this.#url()));
    socket.onopen = () => {
      this.#attempt = 0;
      this.#onState({ name: "open" });
    };
    socket.onmessage = (event) => this.#onFrame(JSON.parse(event.data));
    socket.onoffline = () => {
      clearTimeout(this.#timer);
      this.#onState({ name: "returning" });
    };
    socket.onresumed = ({ detail }) => {
      if (detail.recovered === "") return;
      this.#onState({ name: "caught-up" });
      this.#timer = setTimeout(() => this.#onState({ name: "open" }), CAUGHT_UP_MS);
    };
    socket.onunsure = ({ detail }) => this.#onUnsure(detail.frames.map((frame) => JSON.parse(frame)));
    const presence = socket.presence?.(this.#watch);
    presence?.addEventListener("change", () => {
      if (socket !== this.#socket) return;
      if (presence.refused) console.warn(`Who is in ${this.#watch} is not told: ${presence.refused}`);
      this.#onPeople(presence.refused ? null : presence.people);
    });
    socket.onclose = () => {
      clearTimeout(this.#timer);
      this.#socket = null;
      this.#wait();
    };
  }

  #forget() {
    if (!this.#socket) return;
    clearTimeout(this.#timer);
    for (const type of ["open", "message", "offline", "resumed", "unsure", "close"]) this.#socket[`on${type}`] = null;
    this.#socket.close();
    this.#socket = null;
  }

  #wait() {
    const bound = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.#attempt++);
    // Some of it by chance, so that all the clients of a restarted server do not come back in one moment.
    this.#countDown(Date.now() + bound * (0.5 + Math.random() / 2));
  }

  #countDown(until) {
    const left = until - Date.now();
    if (left <= 0) return this.#open();
    this.#onState(navigator.onLine ? { name: "waiting", seconds: Math.ceil(left / 1000) } : { name: "offline" });
    this.#timer = setTimeout(() => this.#countDown(until), Math.min(left, 1000));
  }
}

/** The address of a socket of this site. */
export function socketUrl(path, query = {}) {
  const url = new URL(path, location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  for (const [key, value] of Object.entries(query)) url.searchParams.set(key, value);
  return url.href;
}

/** Shows a state in the element that says how the connection is. */
export function showState(element, state) {
  element.dataset.state = state.name;
  const texts = {
    connecting: state.again ? "Reconnecting…" : "Connecting…",
    open: "Connected",
    returning: "Coming back…",
    "caught-up": "Caught up",
    waiting: `Connection lost, again in ${state.seconds} s`,
    offline: "You are offline",
  };
  // The countdown is for the eye: read aloud every second it would be a nuisance.
  element.setAttribute("aria-live", state.name === "waiting" && element.textContent.includes("again in") ? "off" : "polite");
  element.textContent = texts[state.name];
}
