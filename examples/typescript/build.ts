import { containerImage, directory, type FrontendBuild, target, text } from 'kiln/frontend';
import { files, type State, scratch } from 'kiln/llb';

const args = { VERSION: text({ default: 'dev', description: 'what the pages say' }) };

/** The pages, at `/site` of the tree that they are made in. */
async function makeSite(version: string, build: FrontendBuild): Promise<State> {
  const base = await build.image('busybox');
  const context = await build.context(['make-site.sh', 'notes']);
  return base.state
    .file(files().mkdir('/work', 0o755))
    .dir('/work')
    .file(files().copy(context, '/make-site.sh', './'))
    .file(files().copy(context, '/notes', 'notes'))
    .env('VERSION', version)
    .run(['/bin/sh', '-c', 'sh make-site.sh notes /site'], { name: 'make the pages' }).root;
}

export const site = target(
  { description: 'the pages, to be copied out', args },
  async ({ VERSION }, build) => {
    const made = await makeSite(VERSION, build);
    return directory(scratch().file(files().copy(made, '/site', '/', { dirCopyContents: true })));
  },
);

export const app = target({ description: 'a server of the pages', args }, async ({ VERSION }, build) => {
  const base = await build.image('busybox');
  const made = await makeSite(VERSION, build);
  const state = base.state
    .env('SITE', '/srv/site')
    .file(files().mkdir('/srv', 0o755))
    .dir('/srv')
    .file(files().copy(made, '/site', 'site'));
  return containerImage(state, {
    base,
    cmd: ['httpd', '-f', '-p', '8080', '-h', '/srv/site'],
    labels: { 'org.opencontainers.image.title': 'Notes' },
    exposedPorts: ['8080/tcp'],
    // What follows says what the Dockerfile's image says, so that the images have the same digest.
    argsEscaped: true,
    history: [
      line('ENV SITE=/srv/site', true),
      line('WORKDIR /srv'),
      line('COPY /site site # buildkit'),
      line('EXPOSE [8080/tcp]', true),
      line('LABEL org.opencontainers.image.title=Notes', true),
      line('CMD ["httpd" "-f" "-p" "8080" "-h" "/srv/site"]', true),
    ],
  });
});

function line(createdBy: string, emptyLayer = false) {
  return { createdBy, emptyLayer, comment: 'buildkit.dockerfile.v0' };
}

export default app;
