const officialPrefix = 'docker.io/library/';
const defaultPrefix = 'docker.io/';

/** The short form of a canonical image name: `app:latest` for `docker.io/library/app:latest`. */
export function familiarName(name: string): string {
  if (name.startsWith(officialPrefix)) return name.slice(officialPrefix.length);
  return name.startsWith(defaultPrefix) ? name.slice(defaultPrefix.length) : name;
}
