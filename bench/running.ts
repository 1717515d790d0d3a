import { execFile } from 'node:child_process'
import { mkdir, readdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { projectRoot } from '../src/daemon/environment.ts'
import { atMost, median, type Figure } from './figures.ts'
import { Stage } from './program.ts'

const run = promisify(execFile)
const rounds = 5

/** How soon everything runs, and has stopped. */
export async function measureRunning(): Promise<Figure[]> {
  const [first, next, stops]: [number[], number[], number[]] = [[], [], []]
  for (let round = 0; round < rounds; round += 1) {
    const times = await startAndStop()
    first.push(times.firstSeconds)
    next.push(times.nextSeconds)
    stops.push(times.stopSeconds)
  }
  // Three seconds, and the longest wait for a keyframe.
  const title = 'start.sh to the first bytes of 2 cameras, keyframes every 2 s'
  const figures = [
    atMost(`${title}: from the second start on`, median(next), 5, ' s'),
    atMost(`${title}: new cameras`, median(first), 5, ' s'),
    atMost('stop.sh', median(stops), 3, ' s'),
  ]
  for (const daemon of ['recorder', 'uploader'] as const) {
    const times: number[] = []
    for (let round = 0; round < rounds; round += 1) times.push(await importMs(daemon))
    figures.push(atMost(`import time of the ${daemon}`, median(times), 400, ' ms'))
  }
  return figures
}

type Times = Record<'firstSeconds' | 'nextSeconds' | 'stopSeconds', number>

async function startAndStop(): Promise<Times> {
  const stage = await Stage.open()
  const envFile = join(stage.folder, '.env')
  const script = async (name: string): Promise<unknown> =>
    run(join(projectRoot, 'scripts', name), { env: { ...process.env, ENV_FILE: envFile } })
  try {
    const { said } = await stage.background('cameras', '2', '2000')
    const cameras = said.urls.map((url, index) => `CAMERA_${index + 1}_URL='${url}'\n`).join('')
    const rest = `BASE_DIR='${stage.folder}'\nS3_BUCKET_NAME=footage\nS3_ENDPOINT=http://127.0.0.1:9\n`
    await writeFile(envFile, cameras + rest, { mode: 0o600 })
    await mkdir(join(stage.folder, 'recordings', 'open'), { recursive: true })
    const start = async (): Promise<number> => {
      const startedMs = performance.now()
      const starting = script('start.sh').catch(() => {})
      await untilBytes(join(stage.folder, 'recordings', 'open'), 2)
      const seconds = (performance.now() - startedMs) / 1000
      await starting
      return seconds
    }
    const firstSeconds = await start()
    const stoppingMs = performance.now()
    await script('stop.sh')
    const stopSeconds = (performance.now() - stoppingMs) / 1000
    return { firstSeconds, nextSeconds: await start(), stopSeconds }
  } finally {
    await script('stop.sh').catch(() => {})
    await stage.close()
  }
}

async function untilBytes(folder: string, files: number): Promise<void> {
  for (;;) {
    const names = await readdir(folder)
    const sizes = names.map(
      async (name) => (await stat(join(folder, name)).catch(() => undefined))?.size ?? 0,
    )
    if ((await Promise.all(sizes)).filter((size) => size > 0).length >= files) return
    await sleep(20)
  }
}

/** From the start of Node.js until everything is imported: a configuration without a camera ends it there. */
async function importMs(daemon: 'recorder' | 'uploader'): Promise<number> {
  const stage = await Stage.open()
  try {
    const startedMs = performance.now()
    const program = await stage.startDaemon(daemon, {
      SEGMENT_DURATION: 'none',
      S3_BUCKET_NAME: '',
    })
    await program.ended
    return performance.now() - startedMs
  } finally {
    await stage.close()
  }
}
