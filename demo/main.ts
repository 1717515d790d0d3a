// What `start.sh --demo` runs beside the daemons, on loopback: two cameras and an S3 server. It
// writes the daemons' ENV_FILE, and `demo.ready` once they can be started.
import { once } from 'node:events'
import { rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { projectRoot } from '../src/daemon/environment.ts'
import { runDaemon, type DaemonConfig } from '../src/daemon/run-daemon.ts'
import { hasCode, foldersBelow } from '../src/segments/folders.ts'
import { makeClip } from './clip.ts'
import { envText } from './demo-env.ts'
import { startRtspCamera, type RtspCamera } from './rtsp-camera.ts'
import { startS3Server } from './s3-server.ts'

const base = join(projectRoot, 'data', 'demo')
const storeFolder = join(base, 's3')
const store = {
  bucket: 'demo-footage',
  accessKeyId: 'DEMO-ACCESS-KEY',
  secretAccessKey: 'demo/secret+with=signs',
}
// What a URL, a shell or an FFmpeg script could trip over.
const passwords = { Front: `p@ss/w:rd#1 %$'`, Garage: 'ü"&?=;{}`\\' }
const folders = foldersBelow(base)
const config: DaemonConfig = {
  log: { folder: folders.logs, level: 'INFO', format: 'text', retentionDays: 14, maxBytes: 1e8 },
  statusFolder: folders.status,
  secrets: [store.secretAccessKey, ...Object.values(passwords)],
}

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
    const { endpoint } = s3
    const cameras = { Front: front.url, Garage: garage.url }
    await replace(environment.file, envText(cameras, { ...store, endpoint }))
    await replace(readyFile, `${endpoint}/${store.bucket} ${join(storeFolder, store.bucket)}\n`)
    log.info({ endpoint, cameras: Object.keys(cameras) }, 'cameras and store are ready')
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
  // Enough for a test picture; the demo's objects stay until somebody deletes them.
  const clip = await makeClip({ audio, videoKbps: 250 }, join(base, 'clips'))
  const options = { clip, user: 'admin', password: passwords[name] }
  return onPort(preferredPort, async (port) => startRtspCamera({ ...options, port }))
}

/** The same port each time, so that addresses stay what they were; any other if it is taken. */
async function onPort<T>(preferred: number, start: (port: number) => Promise<T>): Promise<T> {
  try {
    return await start(preferred)
  } catch (error) {
    if (!hasCode(error, 'EADDRINUSE')) throw error
    return start(0)
  }
}

async function replace(file: string, text: string): Promise<void> {
  await writeFile(`${file}.new`, text, { mode: 0o600 })
  await rename(`${file}.new`, file)
}
