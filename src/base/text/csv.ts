import { KilnError } from '../errors.ts';

/** The fields of one line of CSV (RFC 4180). Throws `invalid_argument` for a quote in the wrong place. */
export function parseCsv(line: string): string[] {
  const fields: string[] = [];
  let at = 0;
  for (;;) {
    if (line[at] === '"') {
      let field = '';
      for (;;) {
        const quote = line.indexOf('"', ++at);
        if (quote < 0) throw malformed(line);
        field += line.slice(at, quote);
        at = quote + 1;
        if (line[at] !== '"') break;
        field += '"';
      }
      fields.push(field);
      if (at < line.length && line[at] !== ',') throw malformed(line);
    } else {
      const comma = line.indexOf(',', at);
      const end = comma < 0 ? line.length : comma;
      const field = line.slice(at, end);
      if (field.includes('"')) throw malformed(line);
      fields.push(field);
      at = end;
    }
    if (at >= line.length) return fields;
    at++;
  }
}

function malformed(line: string): KilnError {
  return new KilnError('invalid_argument', `malformed quotes in ${JSON.stringify(line)}`, {
    hint: 'quote a whole field, "key=value,with,commas", and double a quote inside it',
  });
}
