// What a screen reader is told beside what is seen: one short sentence, never a list of changes.
const place = document.getElementById("said");

export function say(sentence) {
  place.textContent = place.textContent === sentence ? `${sentence}\u00a0` : sentence; // said twice, it is spoken twice
}
