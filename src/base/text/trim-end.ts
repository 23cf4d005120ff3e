/** `text` without those of `characters` that it ends with. An expression (`/x+$/`) would try at every one in the text. */
export function trimEnd(text: string, characters: string): string {
  let end = text.length;
  while (end > 0 && characters.includes(text[end - 1]!)) end--;
  return text.slice(0, end);
}
