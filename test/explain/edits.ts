import { buildEdits } from './build-edits.ts';
import { dockerfileEdits } from './dockerfile-edits.ts';
import type { Edit } from './edit.ts';
import { fileEdits } from './file-edits.ts';

export const edits: readonly Edit[] = [...fileEdits, ...dockerfileEdits, ...buildEdits];
