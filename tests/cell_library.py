"""A library of four cells whose every figure can be computed by hand; a netlist of a real one."""

import random
from functools import cache
from pathlib import Path

from lns.design import load
from sim.cost.liberty import Library, default_library, load_library
from sim.cost.netlist import Netlist, load_netlist
from sim.cost.synthesis import synthesise
from sim.cost.timing import Timing, time_netlist
from sim.verify.unit import Transaction
from sim.verify.units import instances
from sim.verify.units.add import Add

TEXT = r"""
/* times in ns, capacitances in pF, so energies in pJ */
library (hand) {
  delay_model : table_lookup; time_unit : "1ns"; voltage_unit : "1V"; current_unit : "1uA";
  leakage_power_unit : "1nW"; capacitive_load_unit (1,pf);
  nom_voltage : 5.0; nom_temperature : 25;
  operating_conditions (typical) { voltage : 2.0; temperature : 30; }
  default_operating_conditions : typical;
  lu_table_template (load_first) { variable_1 : total_output_net_capacitance; variable_2 : input_net_transition; }
  power_lut_template (slew_first) { variable_1 : input_transition_time; variable_2 : total_output_net_capacitance; }
  power_lut_template (slew_alone) { variable_1 : input_transition_time; index_1 ("0, 10"); }
  cell (INV) {
    area : 2
    cell_leakage_power : 3.0;
    pin (A) { direction : input; capacitance : 0.02; rise_capacitance : 0.03; fall_capacitance : 0.01; }
    pin (Y) { direction : output; function : "A'";
      timing () { related_pin : "A"; timing_sense : negative_unate;
        cell_rise (load_first) { index_1 ("0, 1"); index_2 ("0, 1"); values ("0.1, 0.1", "10.1, 10.1"); }
        cell_fall (load_first) { index_1 ("0, 1"); index_2 ("0, 1"); values ("0.3, 0.3", "5.3, 5.3"); }
        rise_transition (load_first) { index_1 ("0, 1"); index_2 ("0, 1"); values ("0.1, 0.1", "1, 1"); }
        fall_transition (load_first) { index_1 ("0, 1"); index_2 ("0, 1"); values ("0.1, 0.1", "1, 1"); }
      }
      internal_power () { related_pin : "A";
        rise_power (load_first) { index_1 ("0, 1"); index_2 ("0, 1"); values ("1, 3", "2, 8"); }
        fall_power (slew_first) { index_1 ("0, 1"); index_2 ("0, 2"); values ("0.5, 0.7", \
          "1.5, 1.7"); }
      }
    }
  }
  cell (NAND2) {
    area : 3;
    leakage_power () { when : "A B"; value : 8; }
    leakage_power () { when : "!A*!B"; value : 2; }
    leakage_power () { value : 4; }
    pin (A) { direction : input; capacitance : 0.1;
      internal_power () { when : "!B"; power (scalar) { values ("0.25"); } }
    }
    pin (B) { direction : input; capacitance : 0.2; }
    pin (Y) { direction : output; function : "!(A B)";
      internal_power () { related_pin : "A"; power (scalar) { values ("1"); } }
      internal_power () { related_pin : "B"; power (scalar) { values ("4"); } }
    }
  }
  cell (XOR2) {
    area : 5;
    pg_pin (VDD) { pg_type : primary_power; voltage_name : VDD; }
    pg_pin (VSS) { pg_type : primary_ground; voltage_name : VSS; }
    leakage_power () { value : 6; related_pg_pin : VDD; }
    leakage_power () { value : 7; related_pg_pin : VSS; }
    pin (A) { direction : input; capacitance : 0.1; }
    pin (B) { direction : input; capacitance : 0.1; }
    pin (Y) { direction : output; function : "A ^ B";
      internal_power () { related_pin : "A"; when : "B"; related_pg_pin : VDD; power (scalar) { values ("2"); } }
      internal_power () { related_pin : "A"; related_pg_pin : VDD; power (scalar) { values ("10"); } }
      internal_power () { related_pin : "B"; related_pg_pin : VDD; power (scalar) { values ("50"); } }
      internal_power () { related_pin : "A"; related_pg_pin : VSS; power (scalar) { values ("900"); } }
    }
  }
  cell (DFF) {
    area : 9; cell_leakage_power : 5;
    ff (IQ, IQN) { clocked_on : "CK"; next_state : "D"; clear : "R'"; }
    pin (CK) { direction : input; clock : true; capacitance : 0.5;
      internal_power () {
        rise_power (slew_alone) { values ("1, 3"); }
        fall_power (slew_alone) { values ("0.5, 0.5"); }
      }
    }
    pin (D) { direction : input; capacitance : 0.3;
      internal_power () { when : "CK"; power (scalar) { values ("0"); } }
      internal_power () { power (scalar) { values ("0.125"); } }
    }
    pin (R) { direction : input; capacitance : 0.3; }
    pin (Q) { direction : output; function : "IQ";
      internal_power () { related_pin : "CK"; power (slew_alone) { values ("7, 8"); } }
    }
  }
}
"""


def hand_library(folder: Path, text: str = TEXT) -> Library:
    """The library, or a changed one."""
    (folder / "hand.lib").write_text(text, "utf-8")
    return load_library(folder / "hand.lib")


PERIOD = 20e-9


@cache
def adder() -> tuple[Add, Library, Path, Netlist, Timing]:
    """The 8-bit log-adder of ``madam8`` in the default library's cells."""
    unit, library = instances(load("madam8"), "lns_add")[0], load_library(default_library())
    folder = synthesise(unit, library, PERIOD)
    timing = time_netlist(folder, library, PERIOD)
    return unit, library, folder, load_netlist(folder), timing


def shuffled(unit: Add, count: int) -> list[Transaction]:
    """Some of its transactions in random order."""
    return random.Random(1).sample(unit.transactions(1, count, False), count)
