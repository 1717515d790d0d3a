import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { projectRoot } from '../src/daemon/environment.ts'
import { runDaemon, type DaemonConfig } from '../src/daemon/run-daemon.ts'
import { foldersBelow } from '../src/segments/folders.ts'
import { makeClip } from './clip.ts'
import { envText, type DemoStore } from './demo-env.ts'
import { startRtspCamera, type RtspCamera } from './rtsp-camera.ts'
import { startS3Server } from './s3-server.ts'

// What `start.sh --demo` starts beside the daemons, on loopback: two cameras and an S3 server. It
// writes the daemons' ENV_FILE, and `demo.ready` when they can be started.
const base = join(projectRoot, 'data', 'demo')
const folders = foldersBelow(base)
const storeFolder = join(base, 's3')
const store: Omit<DemoStore, 'endpoint'> = {
  bucket: 'demo-footage',
  accessKeyId: 'DEMO-ACCESS-KEY',
  secretAccessKey: 'demo/secret+with=signs',
}
// As bad as passwords get: all that a URL, a shell or an ffconcat script could trip over.
const passwords = { Front: "p@ss/w:rd#1 %'$", Garage: 'ü"\\&?=;{}`' }
const user = 'admin'

await runDaemon({
  name: 'demo',
  configure: () => ({ config, warnings: [] }),
  async run({ environment, log }, signal) {
    const readyFile = join(environment.runFolder, 'demo.ready')
    const [front, garage, s3] = await Promise.all([
      startCamera('Front', 'aac', 18_554),
      startCamera('Garage', 'pcmu', 18_555),
      onPort(19_000, async (port) => startS3Server({ ...store, folder: storeFolder, port })),
    ])
    const cameras = { Front: front.url, Garage: garage.url }
    await replace(environment.file, envText(cameras, { ...store, endpoint: s3.endpoint }))
    await replace(readyFile, `${s3.endpoint}/${store.bucket} ${join(storeFolder, store.bucket)}\n`)
    log.info({ endpoint: s3.endpoint, cameras: 2 }, 'cameras and store are ready')
    if (!signal.aborted) await once(signal, 'abort')
    await rm(readyFile, { force: true })
    await Promise.all([front.close(), garage.close(), s3.close()])
  },
})

async function startCamera(
  name: keyof typeof passwords,
  audio: 'aac' | 'pcmu',
  preferredPort: number,
): Promise<RtspCamera> {
  const clip = await makeClip({ audio, videoKbps: 250 }, join(base, 'clips'))
  return onPort(preferredPort, async (port) =>
    startRtspCamera({ clip, port, user, password: passwords[name] }),
  )
}
