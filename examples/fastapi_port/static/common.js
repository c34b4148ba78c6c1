// What the pages of the showcase share: sockets that come back, elements, lines.

import { SteadySocket } from "/static/chat/socket.js";

export const $ = (id) => document.getElementById(id);

/** An element with text or children; strings become text, never markup. */
export function el(tag, classes, ...children) {
  const element = document.createElement(tag);
  if (classes) element.className = classes;
  element.append(...children);
  return element;
}

const WORDS = { connecting: "Connecting…", open: "Connected", offline: "Offline" };

/**
 * A socket at `path` whose state is shown by `status`; `handlers` has a function for each action, which gets the
 * payload, and may have `opened`.
 */
export function socketAt(path, status, handlers) {
  return new SteadySocket(() => `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${path()}`, {
    onFrame: ({ action, payload }) => {
      if (action === "error") console.warn("the server could not use a message:", payload);
      handlers[action]?.(payload);
    },
    onState: (state) => {
      status.dataset.state = state.name;
      status.textContent = WORDS[state.name] ?? `Lost. Trying again in ${state.seconds} s`;
      if (state.name === "open") handlers.opened?.();
    },
  });
}

export function line(classes, text, { who, at = new Date() } = {}) {
  const said = el("span", "", ...(who ? [el("strong", "", who)] : []), text);
  const time = el("time", "", at.toLocaleTimeString([], { hour12: false }));
  return el("li", `line ${classes}`, said, time);
}

const MOST = 200;

/** Add a line at the end, and stay at the end unless the reader has scrolled away. */
export function append(list, item) {
  const atEnd = list.scrollTop + list.clientHeight > list.scrollHeight - 60;
  list.append(item);
  while (list.childElementCount > MOST) list.firstElementChild.remove();
  if (atEnd) list.scrollTop = list.scrollHeight;
}
