import type { Cause, Changed, FileCause } from './cause.ts';

const longest = 80;

/** A cause in words that follow "not cached:". */
export function causeText(cause: Cause): string {
  switch (cause.kind) {
    case 'no-cache':
      return 'caching is off for this step';
    case 'pruned':
      return 'its record is no longer in the cache';
    case 'new':
      return 'no earlier build had this step';
    case 'file':
      return fileText(cause);
    case 'files':
      return `files from ${cause.from} changed`;
    case 'command':
      return `the command is now ${quoted(cause.after)}, was ${quoted(cause.before)}`;
    case 'platform':
      return `the platform is now ${cause.after}, was ${cause.before}`;
    case 'variable':
      return changedText(`variable ${cause.name}`, cause);
    case 'mount':
      return changedText(`the mount at ${cause.name}`, cause);
    case 'option':
      return changedText(cause.name, cause);
    case 'image':
      return `image ${cause.name} is now ${pinText(cause.after)}, was ${pinText(cause.before)}`;
    case 'source':
      return `${cause.name} has changed`;
    case 'follows':
      return `it follows ${quoted(cause.after)} now, followed ${quoted(cause.before)} before`;
    case 'parent': {
      if (cause.cause?.kind === 'image' || cause.cause?.kind === 'source') return causeText(cause.cause);
      const why = cause.cause ? `: ${causeText(cause.cause)}` : '';
      return `${clipped(cause.step.replaceAll(/\s+/g, ' '))} ran again${why}`;
    }
  }
}

function fileText({ path, change, before, after, from, more }: FileCause): string {
  const place = from === 'context' ? '' : ` from ${from}`;
  const others = more > 0 ? `, and ${more} more` : '';
  return `${path}${place} ${changeText()}${others}`;

  function changeText(): string {
    switch (change) {
      case 'added':
        return 'was added';
      case 'removed':
        return 'was removed';
      case 'renamed':
        return `was renamed to ${after}`;
      case 'content':
        return 'changed (content)';
      case 'xattrs':
        return 'changed (extended attributes)';
      case 'mode':
      case 'owner':
      case 'type':
        return `changed (${change} ${before} to ${after})`;
      case 'target':
        return `changed (link to ${after}, was to ${before})`;
    }
  }
}

function changedText(what: string, { before, after }: Changed<string>): string {
  if (before === undefined) return after ? `${what} is new, ${quoted(after)}` : `${what} is new`;
  if (after === undefined) return `${what} is gone, was ${quoted(before)}`;
  return `${what} is now ${quoted(after)}, was ${quoted(before)}`;
}

/** Enough of a digest to tell it from others. */
function pinText(text = ''): string {
  return text.replace(/^(sha256:[0-9a-f]{12})[0-9a-f]{52}$/, '$1');
}

function quoted(text = ''): string {
  return JSON.stringify(clipped(text));
}

function clipped(text: string): string {
  return text.length > longest ? `${text.slice(0, longest - 1)}…` : text;
}
