const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** The three forms of RFC 9110, section 5.6.7: the one in use, and the two that are obsolete. */
const forms = [
  /^[A-Z][a-z]{2}, (?<day>\d{2}) (?<month>[A-Z][a-z]{2}) (?<year>\d{4}) (?<time>\d{2}:\d{2}:\d{2}) GMT$/,
  /^[A-Z][a-z]+day, (?<day>\d{2})-(?<month>[A-Z][a-z]{2})-(?<year>\d{2}) (?<time>\d{2}:\d{2}:\d{2}) (GMT|UTC)$/,
  /^[A-Z][a-z]{2} (?<month>[A-Z][a-z]{2}) (?<day>[ \d]\d) (?<time>\d{2}:\d{2}:\d{2}) (?<year>\d{4})$/,
];

/** The time in a header such as `Last-Modified`, or undefined when it is in no form that HTTP knows. */
export function parseHttpDate(text: string): Date | undefined {
  for (const form of forms) {
    const { day = '', month = '', year = '', time = '' } = form.exec(text.trim())?.groups ?? {};
    if (time === '') continue;
    const monthIndex = months.indexOf(month);
    const [hours, minutes, seconds] = time.split(':').map(Number) as [number, number, number];
    const at = new Date(Date.UTC(fullYear(year), monthIndex, Number(day), hours, minutes, seconds));
    return at.getUTCMonth() === monthIndex ? at : undefined;
  }
  return undefined;
}

/** Two digits stand for 1969 to 2068. */
function fullYear(year: string): number {
  if (year.length === 4) return Number(year);
  return Number(year) + (Number(year) < 69 ? 2000 : 1900);
}
