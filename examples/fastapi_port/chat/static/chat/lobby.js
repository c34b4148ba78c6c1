// The lobby: a form with a name and a room, and the rooms that are open.

import { rememberName, rememberedName } from "./people.js";
import { followRooms } from "./rooms.js";
import { showState } from "./socket.js";

const page = JSON.parse(document.getElementById("page").textContent);
const $ = (id) => document.getElementById(id);

$("name").value = rememberedName();
// Not by the attribute autofocus: who has clicked somewhere by then stays there, and the browser complains of it.
if (document.activeElement === document.body) {
  const next = $("name").value || $("room").value ? $("room") : $("name");
  next.focus();
  next.select();
}
// The name stays in this browser; the form sends only the room.
$("enter").addEventListener("submit", () => rememberName($("name").value.trim()));
$("rooms").addEventListener("click", () => rememberName($("name").value.trim()));

followRooms({
  page,
  list: $("rooms"),
  empty: $("no-rooms"),
  onState: (state) => showState($("status"), state),
});
