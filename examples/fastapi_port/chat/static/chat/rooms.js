// The list of rooms that have people in them, kept up by the lobby's socket.

import { SteadySocket, socketUrl } from "./socket.js";

/**
 * Fills `list` with links to the rooms; `empty` is shown while there is none, and `except` is left out.
 */
export function followRooms({ page, list, empty, except = null, onState = () => {} }) {
  const rooms = new Map(); // room -> Map of member id -> name

  const onFrame = ({ kind, room, member }) => {
    if (room === except) return;
    if (kind === "joined") {
      if (!rooms.has(room)) rooms.set(room, new Map());
      rooms.get(room).set(member.id, member.name);
    } else if (kind === "left") {
      rooms.get(room)?.delete(member.id);
      if (!rooms.get(room)?.size) rooms.delete(room);
    }
    draw();
  };

  let drawing = false;
  const draw = () => {
    if (drawing) return;
    drawing = true;
    requestAnimationFrame(() => {
      drawing = false;
      const fullest = [...rooms].sort(([a, x], [b, y]) => y.size - x.size || a.localeCompare(b));
      list.replaceChildren(...fullest.map(([room, members]) => door(page, room, members)));
      empty.hidden = rooms.size > 0;
    });
  };

  new SteadySocket(() => socketUrl(page.lobbySocket), {
    onFrame,
    onState(state) {
      // The roll is called again with every new connection.
      if (state.name === "connecting") { rooms.clear(); }
      if (state.name === "open") draw();
      onState(state);
    },
  });
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
