// The list of rooms that have people in them, which the lobby's socket watches.

import { SteadySocket, socketUrl } from "./socket.js";

/**
 * Fills `list` with links to the rooms; `empty` is shown while there is none, and `except` is left out.
 */
export function followRooms({ page, list, empty, except = null, onState = () => {} }) {
  let shown = "";
  const onPeople = (people) => {
    const section = list.closest("section");
    if (people === null) {
      section.dataset.unknown = "";
      return;
    }
    delete section.dataset.unknown;
    const rooms = new Map(); // room -> Map of key -> name
    for (const [key, { metas }] of Object.entries(people)) {
      for (const { room, name } of metas) {
        if (room === except) continue;
        if (!rooms.has(room)) rooms.set(room, new Map());
        rooms.get(room).set(key, name);
      }
    }
    const fullest = [...rooms].sort(([a, x], [b, y]) => y.size - x.size || a.localeCompare(b));
    // Who comes and goes elsewhere must not take the keyboard's focus from a door, nor have all read aloud again.
    const drawn = JSON.stringify(fullest.map(([room, members]) => [room, ...members]));
    if (drawn === shown) return;
    shown = drawn;
    list.replaceChildren(...fullest.map(([room, members]) => door(page, room, members)));
    empty.hidden = rooms.size > 0;
  };

  new SteadySocket(() => socketUrl(page.lobbySocket), { watch: page.everybody, onPeople, onState });
}

function door(page, room, members) {
  const link = document.createElement("a");
  link.href = `${page.enter}?room=${encodeURIComponent(room)}`;
  const title = document.createElement("strong");
  title.textContent = room;
  const names = [...new Set(members.values())];
  const who = document.createElement("span");
  who.textContent = names.slice(0, 3).join(", ") + (names.length > 3 ? ` and ${names.length - 3} more` : "");
  const count = document.createElement("span");
  count.className = "count";
  count.textContent = members.size;
  count.ariaLabel = members.size === 1 ? "1 person" : `${members.size} people`;
  link.append(title, who, count);
  const item = document.createElement("li");
  item.append(link);
  return item;
}
