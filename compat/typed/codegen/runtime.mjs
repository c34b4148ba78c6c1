/**
 * @typedef {{
 *   base?: string,
 *   query?: { [name: string]: string },
 *   protocols?: string | string[],
 *   [option: string]: any,
 * }} Options `base`: the server, such as "wss://example.org"; the page's own by default. `query`: parameters of
 *   the URL. `protocols` and all others are passed to the socket.
 */

const ENVELOPE = ["version", "topic", "ref", "seq"];

class Speaker {
  /**
   * @param {string} discriminator the field that identifies a message
   * @param {[string, string[]][]} ownNames by tag, the names of the envelope that a message has for fields of its own
   */
  constructor(discriminator, ownNames) {
    this._discriminator = discriminator;
    this._ownNames = new Map(ownNames);
    /** @type {Map<string, Set<(message: any) => void>>} */
    this._handlers = new Map();
  }

  /** @param {string[]} tags @param {(message: any) => void} handler */
  _on(tags, handler) {
    const sets = tags.map((tag) => this._handlers.get(tag) || new Set());
    tags.forEach((tag, index) => this._handlers.set(tag, sets[index].add(handler)));
    return () => sets.forEach((handlers) => handlers.delete(handler));
  }

  /** @param {any} content @param {string} name */
  _owns(content, name) {
    return (this._ownNames.get(content[this._discriminator]) || []).includes(name);
  }

  /** @param {any} content the message, with the envelope */
  _take(content) {
    /** @type {any} */
    const message = {};
    for (const key of Object.keys(content)) {
      if (!ENVELOPE.includes(key) || this._owns(content, key)) message[key] = content[key];
    }
    const handlers = this._handlers.get(message[this._discriminator]) || new Set();
    // A handler may remove itself or others, and add another one: that is for the next message.
    for (const handler of [...handlers]) if (handlers.has(handler)) handler(message);
  }
}

class Connection extends Speaker {
  /** @param {string} discriminator @param {string} path @param {Options} options @param {boolean} [isSubscription] @param {[string, string[]][]} [ownNames] */
  constructor(discriminator, path, { base, query, protocols, ...options }, isSubscription = false, ownNames = []) {
    super(discriminator, ownNames);
    const server = base === undefined ? location.origin.replace(/^http/, "ws") : base.replace(/\/$/, "");
    const search = query === undefined ? "" : `?${new URLSearchParams(query)}`;
    /** The socket, for its events: open, offline, resumed, unsure, close. */
    this.socket = new Socket(server + path + search, protocols, options);
    this._isSubscription = isSubscription;
    /** @type {Map<string, Topic>} */
    this._topics = new Map();
    this.socket.addEventListener("message", (/** @type {any} */ event) => this._dispatch(JSON.parse(event.data)));
  }

  /** @param {number} [code] @param {string} [reason] */
  close(code, reason) {
    this.socket.close(code, reason);
  }

  /** @param {object} message */
  _send(message) {
    this.socket.send(JSON.stringify(message));
  }

  /** @param {any} content */
  _dispatch(content) {
    const { topic } = content;
    const isMine = this._isSubscription || topic === undefined || topic === null;
    let speaker = isMine ? this : this._topics.get(topic);
    if (speaker === undefined && this._owns(content, "topic")) speaker = this; // it is no topic's name
    if (speaker !== undefined) {
      speaker._take(content);
    }
  }
}

class Topic extends Speaker {
  /** @param {string} discriminator @param {Connection} connection @param {string} name @param {[string, string[]][]} [ownNames] */
  constructor(discriminator, connection, name, ownNames = []) {
    super(discriminator, ownNames);
    this.connection = connection;
    this.name = name;
    // A connection that begins anew has no topics.
    this._subscribe = () => this._send({ [discriminator]: "subscribe" });
    connection._topics.set(name, this);
    connection.socket.addEventListener("open", this._subscribe);
    if (connection.socket.readyState === 1) {
      this._subscribe();
    }
  }

  /** Receive no more of the topic. */
  unsubscribe() {
    this.connection.socket.removeEventListener("open", this._subscribe);
    const { _topics, socket } = this.connection;
    // Another object may have the topic by now, and a socket that is not open knows of none.
    if (_topics.get(this.name) !== this) return;
    _topics.delete(this.name);
    if (socket.readyState === 1) this._send({ [this._discriminator]: "unsubscribe" });
  }

  /** @param {object} message */
  _send(message) {
    this.connection._send({ version: 1, ...message, topic: this.name });
  }
}
