// What a screen reader is told in addition: one short sentence, never a list of changes.
const place = document.getElementById("said");

const TOGETHER = 50; // ms: of two that follow one another so quickly only the second would be read
const now = [];

export function say(sentence) {
  if (now.push(sentence) > 1) return;
  setTimeout(() => {
    const all = now.splice(0).join(" ");
    place.textContent = place.textContent === all ? `${all}\u00a0` : all; // said twice, it is spoken twice
  }, TOGETHER);
}
