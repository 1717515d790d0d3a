import { mkdir, readFile, readdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { recordingInput } from '../src/recorder/ffmpeg-args.ts'
import { atMost, tidy, type Figure } from './figures.ts'
import { childBytes, costOf, type Cost } from './process-tree.ts'
import { Stage, storeSettings, type Program } from './program.ts'

/** What records these cameras into a folder, as the processes that do it. */
type Contestant = (stage: Stage, urls: string[], folder: string) => Promise<Program[]>

interface Run {
  /** Seconds of CPU in a second. */
  cpu: number
  /** Of the daemon itself, without its children. */
  ownCpu: number
  end: Cost
  childBytes: number
  writtenPerReceived: number
}

const segmentSeconds = 60
/** Node.js compiles what it runs often, mostly in its first two minutes: that isn't what a year costs. */
const warmUpSeconds = 120

const ours: Contestant = async (stage, urls) => {
  const cameras = urls.flatMap((url, index) => [
    [`CAMERA_${index + 1}_URL`, url],
    [`CAMERA_${index + 1}_NAME`, `C${index + 1}`],
  ])
  const settings = { ...Object.fromEntries(cameras), SEGMENT_DURATION: segmentSeconds }
  const daemon = await stage.startDaemon('recorder', { S3_BUCKET_NAME: 'footage', ...settings })
  await daemon.count(/recording started/, urls.length)
  return [daemon]
}

/** The recorder, and the uploader beside it: work that one leaves to the other is not saved. */
const both: Contestant = async (stage, urls, folder) => {
  const { said: store } = await stage.background('store')
  const uploader = await stage.startDaemon('uploader', storeSettings(store))
  return [...(await ours(stage, urls, folder)), uploader]
}

/** The command of the Python system that this one replaces. */
const original: Contestant = async (stage, urls, folder) =>
  urls.map((url, index) =>
    stage.start('ffmpeg', [
      ...['-nostdin', '-v', 'error', '-rtsp_transport', 'tcp', '-i', url],
      ...['-c:v', 'copy', '-c:a', 'aac', '-f', 'segment', '-segment_format', 'mp4'],
      ...['-segment_time', String(segmentSeconds), '-strftime', '1', '-reset_timestamps', '1'],
      join(folder, `C${index}_%Y%m%d_%H%M%S.mp4`),
    ]),
  )

/** FFmpeg alone, with nothing but the muxer's options that make a segment crash-safe. */
const bare: Contestant = async (stage, urls, folder) =>
  urls.map((url, index) => {
    const camera = { name: `C${index}`, url, transport: 'tcp', audio: 'auto', number: 1 } as const
    const stream = { video: 'h264', audio: 'aac' } as Parameters<typeof recordingInput>[1]
    const { args } = recordingInput(camera, stream, {
      ...{ openFolder: folder, segmentSeconds, stallAfterMs: 15_000, lateVideo: false },
      video: { codec: 'copy' },
    })
    const muxer = args.slice(args.indexOf('-segment_format_options')).slice(0, 2)
    return stage.start('ffmpeg', [
      ...['-nostdin', '-v', 'error', '-rtsp_transport', 'tcp', '-i', url, '-c', 'copy'],
      ...['-f', 'segment', '-segment_format', 'mp4', ...muxer, '-strftime', '1'],
      ...['-segment_time', String(segmentSeconds), '-segment_atclocktime', '1'],
      ...['-reset_timestamps', '1', join(folder, `C${index}_%Y%m%d_%H%M%S.mp4`)],
    ])
  })

const gstreamer: Contestant = async (stage, urls, folder) =>
  urls.map((url, index) =>
    stage.start('gst-launch-1.0', [
      ...['-q', '-e', 'rtspsrc', `location=${url}`, 'protocols=tcp', 'name=camera', 'camera.'],
      ...['!', 'rtph264depay', '!', 'h264parse', '!', 'sink.video', 'camera.', '!'],
      ...['rtpmp4gdepay', '!', 'aacparse', '!', 'sink.audio_0', 'splitmuxsink', 'name=sink'],
      ...[`location=${folder}/C${index}_%05d.mp4`, `max-size-time=${segmentSeconds}000000000`],
    ]),
  )

const motion: Contestant = async (stage, urls, folder) => {
  const cameras = urls.map(async (url, index) => {
    const file = join(folder, `camera${index}.conf`)
    await writeFile(
      file,
      `camera_id ${index + 1}\nnetcam_url ${url}\nmovie_filename C${index}-%s\n`,
    )
    return `camera ${file}\n`
  })
  const settings = [
    ...['daemon off', 'log_level 4', `target_dir ${folder}`, 'width 1920', 'height 1080'],
    ...['framerate 25', 'movie_output on', 'movie_passthrough on', 'movie_codec mp4'],
    ...['emulate_motion on', 'picture_output off', `movie_max_time ${segmentSeconds}`],
    ...['netcam_params rtsp_transport=tcp', 'webcontrol_port 0', 'stream_port 0'],
  ]
  const file = join(folder, 'motion.conf')
  await writeFile(file, `${settings.join('\n')}\n${(await Promise.all(cameras)).join('')}`)
  return [stage.start('motion', ['-n', '-c', file])]
}

/** CPU, memory and bytes of recorders beside each other, on the same cameras at the same time. */
export async function measureRecording(seconds: number): Promise<Figure[]> {
  const figures: Figure[] = []
  for (const [kbps, bar] of [
    [1000, 0.45],
    [4000, 0.65],
  ] as const) {
    const what = `CPU against the original's FFmpeg, 4 AAC cameras at ${kbps / 1000} Mbit/s`
    const [a, b] = await runBoth([ours, original], 4, kbps, seconds)
    figures.push(atMost(what, a.cpu / b.cpu, bar, '', `${percent(a)} / ${percent(b)} of a core`))
  }
  const byCount = new Map<number, Run>()
  for (const count of [1, 4, 16, 48]) {
    const [a, b] = await runBoth([ours, bare], count, 2000, seconds, warmUpSeconds)
    byCount.set(count, a)
    const what = `CPU against bare \`ffmpeg -c copy\`, ${count} cameras at 2 Mbit/s`
    const note = `${percent(a)} / ${percent(b)} of a core`
    if (count < 16) {
      figures.push({ what, measured: `${tidy(a.cpu / b.cpu)} (${note})` })
      continue
    }
    figures.push(atMost(what, a.cpu / b.cpu, 1.25, '', note))
    const [c, d] = await runBoth([both, bare], count, 2000, seconds, warmUpSeconds)
    const measured = `${tidy(c.cpu / d.cpu)} (${percent(c)} / ${percent(d)} of a core)`
    figures.push({ what: `… of the recorder and the uploader together`, measured })
  }
  const [one, four, most] = [1, 4, 48].map((count) => byCount.get(count)!) as [Run, Run, Run]
  const mega = (bytes: number): number => bytes / 1e6
  figures.push(
    atMost(
      'the daemon itself, for each of 48 cameras',
      (most.ownCpu / 48) * 100,
      0.1,
      '% of a core',
    ),
    atMost("the daemon's RSS with 1 camera", mega(one.end.peakRssBytes), 80, ' MB'),
    atMost("the daemon's RSS with 48 cameras", mega(most.end.peakRssBytes), 100, ' MB'),
    atMost('bytes written for each received, 48 cameras', most.writtenPerReceived, 1.05),
    atMost('CPU of 48 cameras against 12 times that of 4', most.cpu / four.cpu / 12, 1),
    {
      what: 'memory of each of 48 FFmpegs, its share of what they share included',
      measured: `${tidy(mega(most.childBytes) / 48)} MB`,
    },
  )
  for (const [name, peer] of Object.entries({ motion, gstreamer })) {
    const what = `${name}, 4 cameras at 2 Mbit/s, against ours`
    const runs = await runBoth([peer, ours], 4, 2000, seconds).catch(() => undefined)
    const measured = runs
      ? `${tidy(runs[0].cpu / runs[1].cpu)} times the CPU (${percent(runs[0])} of a core)`
      : 'does not run here: is it installed?'
    figures.push({ what, measured })
  }
  return figures
}

/** Two contestants record the same cameras at the same time, so that both meet the same machine. */
async function runBoth(
  contestants: [Contestant, Contestant],
  cameras: number,
  kbps: number,
  seconds: number,
  afterSeconds = 3,
): Promise<[Run, Run]> {
  const stages = [await Stage.open(), await Stage.open(), await Stage.open()] as const
  try {
    const [studio, ...others] = stages
    const { said } = await studio.background('cameras', `${cameras}`, `${kbps}`)
    const begin = async (contestant: Contestant, stage: Stage): Promise<number[]> => {
      const folder = join(stage.folder, 'recordings', 'open')
      await mkdir(folder, { recursive: true })
      const programs = await contestant(stage, said.urls, folder)
      await untilRecording(folder, cameras)
      return programs.map(({ pid }) => pid)
    }
    const [a, b] = contestants
    const pids = [await begin(a, others[0]), await begin(b, others[1])] as const
    await sleep(afterSeconds * 1000)
    const [before, receivedBefore, startedMs] = [
      pids.map(costOf),
      await receivedBytes(),
      performance.now(),
    ]
    await sleep(seconds * 1000)
    const [ends, received] = [pids.map(costOf), ((await receivedBytes()) - receivedBefore) / 2]
    const elapsed = (performance.now() - startedMs) / 1000
    const runOf = (n: 0 | 1): Run => {
      const [from, end] = [before[n]!, ends[n]!]
      const cpu = (end.cpuSeconds - from.cpuSeconds) / elapsed
      process.stdout.write(
        `${contestants[n].name} ${cameras} × ${kbps}: ${tidy(cpu * 100)}% of a core\n`,
      )
      return {
        ...{ cpu, ownCpu: (end.ownCpuSeconds - from.ownCpuSeconds) / elapsed, end },
        childBytes: childBytes(pids[n][0] ?? 0),
        writtenPerReceived: (end.writtenBytes - from.writtenBytes) / received,
      }
    }
    return [runOf(0), runOf(1)]
  } finally {
    for (const stage of stages.toReversed()) await stage.close()
  }
}

/** Whatever comes over loopback: the cameras' RTP, with some percent of framing. */
async function receivedBytes(): Promise<number> {
  return Number(await readFile('/sys/class/net/lo/statistics/rx_bytes', 'utf8'))
}

async function untilRecording(folder: string, cameras: number): Promise<void> {
  for (const deadline = performance.now() + 90_000; ; await sleep(200)) {
    const files = (await readdir(folder)).filter((name) => /\.(mp4|mkv)$/.test(name))
    const sizes = await Promise.all(
      files.map(async (name) => (await stat(join(folder, name))).size),
    )
    if (sizes.filter((size) => size > 10_000).length >= cameras) return
    if (performance.now() > deadline) throw new Error(`${sizes.length} of ${cameras} record`)
  }
}

function percent({ cpu }: Run): string {
  return `${tidy(cpu * 100)}%`
}
