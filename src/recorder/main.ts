import type { Trouble } from '../daemon/alerts.ts'
import { OpenFiles } from '../daemon/open-files.ts'
import { ProblemLog } from '../daemon/problem-log.ts'
import { runDaemon } from '../daemon/run-daemon.ts'
import { makeFolders } from '../segments/folders.ts'
import { Gaps } from '../segments/gaps.ts'
import { CameraRecorder, type CameraStatus } from './camera-recorder.ts'
import { readRecorderConfig } from './config.ts'
import { OpenSegments } from './open-segments.ts'
import { pastFootage } from './past-footage.ts'
import { StreamMemory } from './stream-probe.ts'
import { Watchdog } from './watchdog.ts'

/** With a long STALL_SECONDS nothing ends a recording that has frozen. */
const frozenAfterMs = 30_000

await runDaemon({
  name: 'recorder',
  configure: readRecorderConfig,
  async run({ config, environment, log, redactor, clock, lastStatus, publish, alertOn }, signal) {
    const { folders, segmentSeconds, stallAfterMs, video } = config
    await makeFolders(folders)
    const openFiles = new OpenFiles()
    const segments = new OpenSegments(folders, log)
    const problems = new ProblemLog(log, clock)
    const watchdog = new Watchdog({ openFiles, stallAfterMs, clock, problems, log })
    const deps = {
      options: {
        openFolder: folders.open,
        lockFolder: environment.runFolder,
        segmentSeconds,
        stallAfterMs,
        video,
        clock,
      },
      streams: new StreamMemory(folders.streams),
      segments,
      gaps: new Gaps(folders.gaps),
      watchdog,
      openFiles,
      redactor,
      problems,
      log,
    }
    const past = await pastFootage(lastStatus, folders, clock.now())
    const recorders = config.cameras.map(
      (camera) => new CameraRecorder(camera, past.get(camera.name), deps),
    )
    publish(() => ({
      cameras: recorders.map((recorder) => recorder.status),
      watch: openFiles.source,
    }))
    const { afterMs } = config.alerts
    alertOn(async () => recorders.flatMap(({ status }) => troubleOf(status, clock.now(), afterMs)))
    for (const file of await segments.abandoned(openFiles)) {
      const closed = await segments.close(file).catch((error: unknown) => {
        log.error({ file, error }, 'segment not moved out of recordings/open/')
      })
      if (closed) log.info({ ...closed }, 'segment of an earlier run finished')
    }
    await Promise.all([
      watchdog.run(signal),
      ...recorders.map(async (recorder) => recorder.run(signal)),
      ...recorders.map(async (recorder) => recorder.keepSynced(signal)),
    ])
  },
})

/** One that is said to be recording may have fallen silent. */
function troubleOf(status: CameraStatus, nowMs: number, afterMs: number): Trouble[] {
  const { name, state, problem, footageUntil } = status
  const withoutMs = nowMs - Date.parse(footageUntil ?? '')
  if (state === 'recording' && !(withoutMs > frozenAfterMs)) return []
  const why = state === 'recording' ? 'no new video' : (problem ?? 'no answer')
  return [{ subject: `camera ${name}`, text: `not recording: ${why}`, afterMs }]
}
