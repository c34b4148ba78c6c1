// The messages of a room, drawn with DOM nodes only: what people write is text and never markup.

import { badge } from "./people.js";

const KEPT = 500; // lines that stay in the page
const ONE_BREATH_MS = 4 * 60_000; // messages of one person this near together share one heading
const time = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

export class Log {
  #list; #newer;
  #last = null; // {id, at} of the last message, null after a notice

  constructor(list, newer) {
    this.#list = list;
    this.#newer = newer;
    newer.addEventListener("click", () => this.#toEnd());
    list.addEventListener("scroll", () => this.#isAtEnd && (newer.hidden = true));
    // A bar that grows or a keyboard that opens must not hide the last line.
    let atEnd = true;
    list.addEventListener("scroll", () => (atEnd = this.#isAtEnd));
    new ResizeObserver(() => atEnd && this.#toEnd()).observe(list);
  }

  said({ member, text, at }, { mine }) {
    const follows = this.#last?.id === member.id && at - this.#last.at < ONE_BREATH_MS;
    const item = document.createElement("li");
    item.className = "said";
    item.classList.toggle("mine", mine);
    item.classList.toggle("follows", follows);
    const heading = document.createElement("p");
    heading.className = "who";
    heading.append(textOf("strong", mine ? "You" : member.name), stamp(at));
    const words = textOf("p", text);
    words.className = "words";
    words.title = time.format(at);
    item.append(badge(member.name), heading, words);
    this.#add(item, { isNews: !mine });
    this.#last = { id: member.id, at };
  }

  notice(text, at = Date.now()) {
    const item = document.createElement("li");
    item.className = "notice";
    item.append(textOf("span", text), stamp(at));
    this.#add(item, { isNews: false });
    this.#last = null;
  }

  #add(item, { isNews }) {
    const wasAtEnd = this.#isAtEnd;
    this.#list.append(item);
    while (this.#list.childElementCount > KEPT) this.#list.firstElementChild.remove();
    if (wasAtEnd || item.classList.contains("mine")) this.#toEnd();
    else if (isNews) this.#newer.hidden = false;
  }

  get #isAtEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.#list;
    return scrollHeight - scrollTop - clientHeight < 40;
  }

  #toEnd() {
    this.#list.scrollTop = this.#list.scrollHeight;
    this.#newer.hidden = true;
  }
}

function textOf(tag, text) {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}

function stamp(at) {
  const element = textOf("time", time.format(at));
  element.dateTime = new Date(at).toISOString();
  return element;
}
