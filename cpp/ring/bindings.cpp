#include "ring/bindings.hpp"

#include <pybind11/pybind11.h>

#include <string_view>

#include "ring/ring.hpp"

namespace py = pybind11;

namespace gps_denied::ring {
namespace {

bool push(Ring& ring, std::uint16_t kind, std::int64_t t_ns, const py::bytes& data) {
  const std::string_view view = data;
  return ring.push(kind, t_ns, view.data(), view.size());
}

// Up to `most` records as tuples (sequence, kind, t_ns, data).
py::list drain(Ring& ring, std::size_t most) {
  py::list out;
  Record record;
  while (most-- > 0 && ring.pop(record)) {
    out.append(py::make_tuple(record.sequence, record.kind, record.t_ns, py::bytes(record.data, record.size)));
  }
  return out;
}

}  // namespace

void bind(py::module_& m) {
  py::class_<Ring>(m, "Ring")
      .def(py::init<std::size_t, std::size_t, bool>(), py::arg("slots"), py::arg("slot_bytes"),
           py::arg("checked") = false)
      .def("push", &push)
      .def("drain", &drain)
      .def("produced", &Ring::produced)
      .def("passed", &Ring::passed);
}

}  // namespace gps_denied::ring
