import { KilnError } from '../../../../base/errors.ts';
import { parseCsv } from '../../../../base/text/csv.ts';
import { cutPair } from '../../../../base/text/cut-pair.ts';
import { parseGoBool } from '../../../../base/text/go-bool.ts';
import { didYouMean } from '../../nearest.ts';

/** Reads a `RUN --device`: `vendor/class=name`, `name=…`, with `,required`. Throws `invalid_argument`. */
export function parseRunDevice(text: string): { readonly name: string; readonly optional: boolean } {
  let name = '';
  let required = false;
  for (const field of parseCsv(text)) {
    const [written, value] = cutPair(field) ?? [field];
    const key = written.toLowerCase();
    if (key === 'required') {
      const truth = parseGoBool(value ?? 'true');
      if (truth === undefined) throw invalid(`invalid value for required: ${value}`);
      required = truth;
    } else if (key === 'name' && value !== undefined) {
      if (name !== '') throw invalid(`device name already set to ${name}`);
      name = value;
    } else if (name === '') name = field;
    else throw invalid(`unexpected key '${key}' in '${field}'${didYouMean(key, ['name', 'required'])}`);
  }
  return { name, optional: !required };
}

function invalid(message: string): KilnError {
  return new KilnError('invalid_argument', message);
}
