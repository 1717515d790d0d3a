import { HoldUps } from '../daemon/clock.ts'
import { OpenFiles } from '../daemon/open-files.ts'
import { ProblemLog } from '../daemon/problem-log.ts'
import { runDaemon } from '../daemon/run-daemon.ts'
import { makeFolders } from '../segments/folders.ts'
import { ClosedSegments } from '../segments/closed-segments.ts'
import { Gaps } from '../segments/gaps.ts'
import { closedName, parseSegmentName } from '../segments/segment-name.ts'
import { closeAbandoned } from './abandoned-segments.ts'
import { CameraRecorder } from './camera-recorder.ts'
import { cameraTroubles, isGoneCamera } from './camera-troubles.ts'
import { readRecorderConfig } from './config.ts'
import { OpenSegments } from './open-segments.ts'
import { forgottenGaps, pastFootage } from './past-footage.ts'
import { StreamMemory } from './stream-info.ts'
import { Watchdog } from './watchdog.ts'

/** A gap is noted soon after the segment behind it is closed. */
const spansKept = 4

await runDaemon({
  name: 'recorder',
  configure: readRecorderConfig,
  async run({ config, environment, log, redactor, clock, lastStatus, publish, alertOn }, signal) {
    const { folders, segmentSeconds, stallAfterMs, video } = config
    await makeFolders(folders)
    const openFiles = new OpenFiles()
    const closed = new ClosedSegments(folders.closed)
    const gaps = new Gaps(folders.gaps)
    const segments = new OpenSegments(folders, { closed, log })
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
        holdUps: new HoldUps(clock),
      },
      streams: new StreamMemory(folders.streams),
      segments,
      gaps,
      watchdog,
      openFiles,
      redactor,
      problems,
      log,
    }
    const [lastSpans, openGaps] = [await closed.lastSpans(spansKept), await gaps.stillOpen()]
    const earlier = { status: lastStatus, closed: lastSpans, openGaps }
    const past = await pastFootage(earlier, folders, clock.now())
    const noted = [...(await gaps.all()), ...(await gaps.passedOver())]
    for (const gap of forgottenGaps(earlier, noted)) await gaps.append(gap)
    const recorders = config.cameras.map(
      (camera) => new CameraRecorder(camera, past.get(camera.name), deps),
    )
    publish(() => ({
      cameras: recorders.map((recorder) => recorder.status),
      watch: openFiles.source,
    }))
    const { afterMs } = config.alerts
    const names = config.cameras.map(({ name }) => name)
    alertOn(
      async () => recorders.flatMap(({ status }) => cameraTroubles(status, clock.now(), afterMs)),
      (subject) => isGoneCamera(subject, names),
    )
    for (const file of await segments.abandoned(openFiles)) {
      const camera = parseSegmentName(closedName(file))?.camera
      const recorder = recorders.find(({ status }) => status.name === camera)
      const closing = recorder ? recorder.adopt(file) : closeAbandoned(segments, file)
      await closing.catch((error: unknown) => {
        log.error({ file, error }, 'segment not moved out of recordings/open/')
      })
    }
    await Promise.all([
      watchdog.run(signal),
      ...recorders.map(async (recorder) => recorder.run(signal)),
    ])
  },
})
