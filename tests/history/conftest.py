import httpx
import pytest

from exporter.config.remote_write import RemoteWrite
from exporter.history.receiver import Receiver
from exporter.history.remote_write import Sender

URL = "http://prometheus:9090/api/v1/write"


class FakeReceiver:
    """Answers requests one after the other, the last answer for ever, and keeps what came."""

    def __init__(self, *answers):
        self.answers = list(answers) or [204]
        self.requests = []

    async def handle(self, request):
        await request.aread()
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, httpx.Response) else httpx.Response(answer)


@pytest.fixture
def sending():
    """Make a sender to a receiver that answers so; gives it, the receiver, its attempts and its waits in seconds."""

    def sending(*answers, **settings):
        fake, attempts, waits = FakeReceiver(*answers), [], []

        async def sleep(seconds):
            waits.append(seconds)

        receiver = Receiver(
            RemoteWrite.model_validate({"url": URL, **settings}),
            now=lambda: 1_700_000_000.0,
            transport=httpx.MockTransport(fake.handle),
        )
        return Sender(receiver, attempts.append, sleep=sleep), fake, attempts, waits

    return sending
