// A WebSocket that comes back: after a lost connection it waits, longer each time, and opens another.

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;

/**
 * `url()` is asked anew for every attempt. `onFrame(object)` gets each JSON frame, `onState(state)` each change:
 * {name: "connecting" | "open" | "waiting" | "offline", seconds} where seconds counts down while waiting.
 */
export class SteadySocket {
  #url; #onFrame; #onState;
  #socket = null;
  #attempt = 0;
  #timer = null;

  constructor(url, { onFrame, onState }) {
    this.#url = url;
    this.#onFrame = onFrame;
    this.#onState = onState;
    addEventListener("online", () => this.retry());
    addEventListener("offline", () => this.#isWaiting && this.#onState({ name: "offline" }));
    // A page that the browser keeps aside (for its "back" button) would keep its socket too, and its person in
    // the room: it lets go when it is left, and opens another when it is shown again.
    addEventListener("pagehide", () => this.#forget());
    addEventListener("pageshow", (event) => event.persisted && this.retry());
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
    socket.onclose = () => {
      this.#socket = null;
      this.#wait();
    };
  }

  #forget() {
    if (!this.#socket) return;
    this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
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
    waiting: `Connection lost, again in ${state.seconds} s`,
    offline: "You are offline",
  };
  // The countdown is for the eye: read aloud every second it would be a nuisance.
  element.setAttribute("aria-live", state.name === "waiting" && element.textContent.includes("again in") ? "off" : "polite");
  element.textContent = texts[state.name];
}
