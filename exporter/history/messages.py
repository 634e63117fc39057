"""Remote write's messages (prometheus/prompb/remote.proto and types.proto), as far as samples need them.

They are described to protobuf here: four messages need no generated code, nor the version of a compiler.
"""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import FieldDescriptorProto

PACKAGE = "prometheus"

FIELDS = {
    "WriteRequest": {"timeseries": (1, "TimeSeries")},
    "TimeSeries": {"labels": (1, "Label"), "samples": (2, "Sample")},
    "Label": {"name": (1, "TYPE_STRING"), "value": (2, "TYPE_STRING")},
    "Sample": {"value": (1, "TYPE_DOUBLE"), "timestamp": (2, "TYPE_INT64")},
}
"""Each message's fields: number, and type or the message that repeats."""


def _write_request() -> Any:  # noqa: ANN401 - protobuf makes the class at run time
    file = descriptor_pb2.FileDescriptorProto(name="remote_write.proto", package=PACKAGE, syntax="proto3")
    for name, fields in FIELDS.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            if kind in FIELDS:
                many, place = FieldDescriptorProto.LABEL_REPEATED, f".{PACKAGE}.{kind}"
                message.field.add(name=field, number=number, label=many, type_name=place)
            else:
                one, type_ = FieldDescriptorProto.LABEL_OPTIONAL, FieldDescriptorProto.Type.Value(kind)
                message.field.add(name=field, number=number, label=one, type=type_)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.WriteRequest"))


WriteRequest = _write_request()
