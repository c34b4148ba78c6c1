// Who somebody is: the name that this browser remembers, the key of this tab, and how a name is drawn.

const KEY = "hallway.name";
const TAB_KEY = "hallway.key";

/** The name of this tab, or else the last one used in this browser. */
export function rememberedName() {
  return sessionStorage.getItem(KEY) ?? localStorage.getItem(KEY) ?? "";
}

export function rememberName(name) {
  sessionStorage.setItem(KEY, name);
  localStorage.setItem(KEY, name);
}

/** What nobody else knows: with it this tab is the same person after it was loaded again. */
export function tabKey() {
  const kept = sessionStorage.getItem(TAB_KEY);
  if (kept) return kept;
  // Not crypto.randomUUID(), which pages without TLS do not have.
  const key = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  sessionStorage.setItem(TAB_KEY, key);
  return key;
}

/** A round badge with a person's initials, in a colour that is always the same for the same name. */
export function badge(name) {
  const element = document.createElement("span");
  element.className = "badge";
  element.ariaHidden = "true";
  element.textContent = initials(name);
  element.style.setProperty("--hue", hue(name));
  return element;
}

function initials(name) {
  const words = name.split(/\s+/).filter(Boolean);
  const letters = words.length > 1 ? [words[0], words.at(-1)] : [name];
  return letters.map((word) => [...word][0]?.toUpperCase() ?? "").join("");
}

function hue(name) {
  let sum = 7;
  for (const char of name) sum = (sum * 31 + char.codePointAt(0)) % 360;
  return sum;
}
