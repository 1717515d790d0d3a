import { execFile } from 'node:child_process'
import { copyFile, mkdir, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { systemClock } from '../src/daemon/clock.ts'
import { ClosedSegments } from '../src/segments/closed-segments.ts'
import { foldersBelow, makeFolders } from '../src/segments/folders.ts'
import { finalize } from '../src/uploader/finalize.ts'
import { SoundEncoder } from '../src/uploader/sound-encoder.ts'
import { atMost, percentile, tidy, type Figure } from './figures.ts'
import { costOf } from './process-tree.ts'
import { Stage, storeSettings, type Program, type Said } from './program.ts'

const run = promisify(execFile)

/** Segments of a kind: how many, and of what length. */
interface Load {
  what: string
  files: number
  /** Of 5 MB, how many times over. */
  loops: number
}

const loads: Load[] = [
  { what: '200 × 5 MB', files: 200, loops: 1 },
  { what: '10 × 300 MB', files: 10, loops: 60 },
]

interface Result {
  cpuPerGb: number
  seconds: number
}

/** CPU and time of shippers beside each other; ours finalizes the files as well. */
export async function measureShipping(seconds: number): Promise<Figure[]> {
  const figures: Figure[] = []
  for (const load of loads) {
    const { what } = load
    const ours = await ship(load)
    const bare = { ...ours, cpuPerGb: ours.cpuPerGb - (await finalizing(load)) }
    const aws = await copy(load, awsArgs).catch(() => undefined)
    const rclone = await copy(load, rcloneArgs).catch(() => undefined)
    const against = (name: string, us: Result, other: Result | undefined, bar: number): Figure => {
      const title = `${what}, CPU against ${name}`
      if (!other) return { what: title, measured: 'does not run here: is it installed?' }
      const note = `${tidy(us.cpuPerGb)} / ${tidy(other.cpuPerGb)} CPU s a GB`
      return atMost(title, us.cpuPerGb / other.cpuPerGb, bar, '', note)
    }
    figures.push(
      against('aws', ours, aws, 1),
      against('aws, finalizing excluded', bare, aws, 0.8),
      against('rclone, finalizing excluded', bare, rclone, 1),
    )
    if (aws)
      figures.push(
        atMost(
          `${what}, time against aws`,
          ours.seconds / aws.seconds,
          1,
          '',
          `${tidy(ours.seconds)} / ${tidy(aws.seconds)} s`,
        ),
      )
    figures.push(atMost(`${what}, peak RSS`, ours.peakRssBytes / 1e6, 150, ' MB'))
  }
  return [
    ...figures,
    ...(await measureLatency(seconds)),
    await measureIdle(),
    ...(await measureBacklog()),
    await measureLimit(),
  ]
}

/** The CPU seconds that finalizing costs, for each GB; the checksum is taken on the way. */
async function finalizing(load: Load): Promise<number> {
  const stage = await Stage.open()
  try {
    const folders = foldersBelow(stage.folder)
    await makeFolders(folders)
    const bytes = await makeFiles(load, folders.recordings)
    const tools = { ffmpeg: 'ffmpeg', ffprobe: 'ffprobe' }
    const sounds = new SoundEncoder({ folders, tools, clock: systemClock, onReady: () => {} })
    const deps = {
      folders,
      proof: 'crc32',
      tools,
      closed: new ClosedSegments(folders.closed),
      sounds,
    } as const
    const signal = new AbortController().signal
    const before = process.cpuUsage()
    for (const name of (await readdir(folders.recordings)).filter((file) => file.endsWith('.mp4')))
      await finalize(deps, join(folders.recordings, name), signal)
    const { user, system } = process.cpuUsage(before)
    return (user + system) / 1e6 / (bytes / 1e9)
  } finally {
    await stage.close()
  }
}

/** Our uploader, from its start until the last file is in `uploaded/`. */
async function ship(load: Load): Promise<Result & { peakRssBytes: number }> {
  const stage = await Stage.open()
  try {
    const { said: store } = await stage.background('store')
    const folder = join(stage.folder, 'recordings')
    const bytes = await makeFiles(load, folder)
    const { S3_ENDPOINT: _, ...settings } = storeSettings(store)
    const uploader = await stage.startDaemon('uploader', settings, asAws(store))
    await uploader.count(/moved to uploaded/, load.files)
    const result = resultOf(uploader, bytes, `ours ${load.what}`)
    return { ...result, peakRssBytes: costOf([uploader.pid]).peakRssBytes }
  } finally {
    await stage.close()
  }
}

type CopyArgs = (
  store: Said,
  folder: string,
) => { command: string; args: string[]; env: NodeJS.ProcessEnv }

const awsArgs: CopyArgs = ({ url, bucket, accessKeyId, secretAccessKey }, folder) => ({
  command: '/usr/bin/aws',
  args: [
    '--endpoint-url',
    url,
    's3',
    'cp',
    '--recursive',
    '--only-show-errors',
    folder,
    `s3://${bucket}/recordings/`,
  ],
  env: {
    ...{ AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey },
    ...{ AWS_DEFAULT_REGION: 'us-east-1', AWS_EC2_METADATA_DISABLED: 'true' },
  },
})

const rcloneArgs: CopyArgs = ({ url, bucket, accessKeyId, secretAccessKey }, folder) => ({
  command: 'rclone',
  args: ['copy', '--s3-no-check-bucket', folder, `s3:${bucket}/recordings/`],
  env: {
    ...{
      RCLONE_CONFIG_S3_TYPE: 's3',
      RCLONE_CONFIG_S3_PROVIDER: 'Other',
      RCLONE_CONFIG_S3_ENDPOINT: url,
    },
    ...{ RCLONE_CONFIG_S3_ACCESS_KEY_ID: accessKeyId, RCLONE_CONFIG_S3_REGION: 'us-east-1' },
    RCLONE_CONFIG_S3_SECRET_ACCESS_KEY: secretAccessKey,
  },
})

/** Another program, from its start to its end. */
async function copy(load: Load, how: CopyArgs): Promise<Result> {
  const stage = await Stage.open()
  try {
    const { said: store } = await stage.background('store')
    const folder = join(stage.folder, 'files')
    const bytes = await makeFiles(load, folder)
    const { command, args, env } = how(store, folder)
    // The shell waits for it, so that what it has cost can be read before the shell is gone.
    const program = stage.start(
      'bash',
      ['-c', '"$@"; echo "ended $?"; read -r', 'bash', command, ...args],
      {
        // A bundle of certificates would be refused, though nothing is encrypted here.
        env: { ...process.env, AWS_CA_BUNDLE: undefined, ...env },
      },
    )
    const end = await program.line(/^ended/)
    if (end !== 'ended 0') throw new Error(program.lines.map(({ text }) => text).join('\n'))
    return resultOf(program, bytes, `${command} ${load.what}`)
  } finally {
    await stage.close()
  }
}

function resultOf(program: Program, bytes: number, what: string): Result {
  const { cpuSeconds } = costOf([program.pid])
  const seconds = (performance.now() - program.startedMs) / 1000
  const cpuPerGb = cpuSeconds / (bytes / 1e9)
  process.stdout.write(`${what}: ${tidy(cpuPerGb)} CPU s a GB, ${tidy(seconds)} s\n`)
  return { cpuPerGb, seconds }
}

/** From the end of a segment to its verified upload, and what the store is asked for it. */
async function measureLatency(seconds: number): Promise<Figure[]> {
  const stage = await Stage.open()
  try {
    const [{ said: store, program }, { said: cameras }] = await Promise.all([
      stage.background('store'),
      stage.background('cameras', '8', '2000'),
    ])
    const named = cameras.urls.flatMap((url, index) => [
      [`CAMERA_${index + 1}_URL`, url],
      [`CAMERA_${index + 1}_NAME`, `C${index + 1}`],
    ])
    const { S3_ENDPOINT: _, ...settings } = storeSettings(store)
    const recorder = { ...settings, ...Object.fromEntries(named), SEGMENT_DURATION: 10 }
    const recording = await stage.startDaemon('recorder', recorder)
    const uploader = await stage.startDaemon('uploader', settings, asAws(store))
    await sleep((seconds + 15) * 1000)
    const ends = new Map(recording.lines.flatMap(({ text }) => endOf(text) ?? []))
    const latencies = uploader.lines.flatMap(({ text }) => latencyOf(text, ends) ?? [])
    program.process.stdin?.write('\n')
    const { requests } = JSON.parse(await program.line(/"requests"/)) as {
      requests: Record<string, number>
    }
    // The first of each camera began anywhere.
    const whole = latencies.slice(8)
    const what = "from a segment's end to its verified upload, 8 cameras, segments of 10 s"
    return [
      atMost(`${what}: median`, percentile(whole, 50), 3, ' s', `${whole.length} segments`),
      atMost(`${what}: 95%`, percentile(whole, 95), 5, ' s'),
      {
        what: 'requests for each segment',
        measured: Object.entries(requests)
          .map(([method, count]) => `${tidy(count / latencies.length)} ${method}`)
          .join(', '),
        bar: 'one PUT, one HEAD',
      },
    ]
  } finally {
    await stage.close()
  }
}

/** Of a line of the recorder's log that says so, which segment has ended, and when. */
function endOf(line: string): [file: string, atMs: number][] | undefined {
  const [, at, file] = /^(\S+ \S+) .*segment finished \(file=([^,]+\.mp4)/.exec(line) ?? []
  return at === undefined || file === undefined ? undefined : [[file, momentOf(at)]]
}

/** Of a line of the uploader's log that says so, how many seconds after its end a segment was proven. */
function latencyOf(line: string, ends: Map<string, number>): number | undefined {
  const [, at, file = ''] = /^(\S+ \S+) .*\| (\S+\.mp4): upload verified/.exec(line) ?? []
  const endMs = ends.get(file)
  return at === undefined || endMs === undefined ? undefined : (momentOf(at) - endMs) / 1000
}

/** `2025-01-25 15:30:45.123`, of a log. */
function momentOf(text: string): number {
  return new Date(text.replace(' ', 'T')).getTime()
}

/** Over one of the pruner's rounds, which come every two minutes; the first looks at each new file. */
async function measureIdle(): Promise<Figure> {
  const seconds = 125
  const stage = await Stage.open()
  try {
    const { said: store } = await stage.background('store')
    const load = { what: '', files: 5000, loops: 0 }
    await makeFiles(load, join(stage.folder, 'recordings'))
    const settings = { ...storeSettings(store), UPLOAD_CONCURRENCY: 4 }
    const uploader = await stage.startDaemon('uploader', settings)
    await uploader.count(/moved to uploaded/, load.files)
    await sleep(seconds * 1000)
    const [before, startedMs] = [costOf([uploader.pid]), performance.now()]
    await sleep(seconds * 1000)
    const cpu = costOf([uploader.pid]).cpuSeconds - before.cpuSeconds
    const share = (cpu / ((performance.now() - startedMs) / 1000)) * 100
    return atMost('an idle uploader with 5,000 files in uploaded/', share, 0.2, '% of a core')
  } finally {
    await stage.close()
  }
}

/** How a backlog begins, and what it costs for each file, by its length. */
async function measureBacklog(): Promise<Figure[]> {
  const [short, long] = [await backlog(1000, 1000), await backlog(4000, 4000)]
  const { firstSeconds } = await backlog(10_000, 1)
  const note = `${tidy(long.cpuPerFile * 1000)} / ${tidy(short.cpuPerFile * 1000)} ms a file`
  return [
    atMost('start with 10,000 files waiting to the first upload', firstSeconds, 3, ' s'),
    atMost(
      'CPU for each of 4,000 waiting files against each of 1,000',
      long.cpuPerFile / short.cpuPerFile,
      1.1,
      '',
      note,
    ),
  ]
}

async function backlog(
  files: number,
  shipped: number,
): Promise<{ firstSeconds: number; cpuPerFile: number }> {
  const stage = await Stage.open()
  try {
    const { said: store } = await stage.background('store')
    await makeFiles({ what: '', files, loops: 0 }, join(stage.folder, 'recordings'))
    const uploader = await stage.startDaemon('uploader', storeSettings(store))
    await uploader.line(/upload started/)
    const firstSeconds = (performance.now() - uploader.startedMs) / 1000
    await uploader.count(/moved to uploaded/, shipped)
    return { firstSeconds, cpuPerFile: costOf([uploader.pid]).cpuSeconds / shipped }
  } finally {
    await stage.close()
  }
}

/** How near UPLOAD_MAX_MBITS comes to what it says. */
async function measureLimit(): Promise<Figure> {
  const stage = await Stage.open()
  try {
    const { said: store } = await stage.background('store')
    const bytes = await makeFiles(
      { what: '', files: 8, loops: 1 },
      join(stage.folder, 'recordings'),
    )
    const mbits = 16
    const uploader = await stage.startDaemon('uploader', {
      ...storeSettings(store),
      UPLOAD_MAX_MBITS: mbits,
    })
    await uploader.line(/upload started/)
    const startedMs = performance.now()
    await uploader.count(/moved to uploaded/, 8)
    const rate = (bytes * 8) / 1e6 / ((performance.now() - startedMs) / 1000)
    return atMost(
      `UPLOAD_MAX_MBITS=${mbits}: off by`,
      Math.abs(rate / mbits - 1) * 100,
      5,
      '%',
      `${tidy(rate)} Mbit/s`,
    )
  } finally {
    await stage.close()
  }
}

/** As AWS itself: it guards what is there, and keeps a CRC32. */
function asAws({ url }: Said): NodeJS.ProcessEnv {
  return { AWS_ENDPOINT_URL_S3: url }
}

/** Segments of ten cameras as the recorder leaves them; how many bytes they hold together. */
async function makeFiles({ files, loops }: Load, folder: string): Promise<number> {
  await mkdir(folder, { recursive: true })
  const source = join(folder, '..', 'source.mp4')
  await encode(source, loops)
  for (let index = 0; index < files; index += 1) {
    const at = new Date(2025, 0, 25, 0, Math.floor(index / 10) * 10)
    const two = (value: number): string => String(value).padStart(2, '0')
    const day = `${at.getFullYear()}${two(at.getMonth() + 1)}${two(at.getDate())}`
    const name = `C${index % 10}_${day}_${two(at.getHours())}${two(at.getMinutes())}00.mp4`
    await copyFile(source, join(folder, name))
  }
  const { size } = await stat(source)
  await rm(source)
  return size * files
}

/** 20 s of 1080p at 2 Mbit/s with sound, so many times over; or next to nothing. */
async function encode(file: string, loops: number): Promise<void> {
  const picture =
    loops === 0 ? 'size=64x36:rate=5:duration=1' : 'size=1920x1080:rate=25:duration=20'
  const once = join(file, '..', 'once.mp4')
  await run('ffmpeg', [
    ...[
      '-v',
      'error',
      '-y',
      '-f',
      'lavfi',
      '-i',
      `testsrc2=${picture}`,
      '-f',
      'lavfi',
      '-i',
      'sine',
    ],
    ...[
      '-c:v',
      'libx264',
      '-preset',
      'ultrafast',
      '-b:v',
      '2M',
      '-minrate',
      '2M',
      '-maxrate',
      '2M',
    ],
    ...[
      '-bufsize',
      '2M',
      '-x264-params',
      'nal-hrd=cbr',
      '-g',
      '50',
      '-c:a',
      'aac',
      '-shortest',
      once,
    ],
  ])
  const flags = ['+empty_moov+default_base_moof', '-frag_duration', '1000000']
  const repeat = ['-stream_loop', String(Math.max(0, loops - 1)), '-i', once]
  await run('ffmpeg', ['-v', 'error', '-y', ...repeat, '-c', 'copy', '-movflags', ...flags, file])
  await rm(once)
}
