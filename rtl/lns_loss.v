// Loss unit: softmax cross-entropy of one sample (docs/spec.md, section 9; lns/reference.py: loss).
//
// Sequential. The logits of a sample come in class order, one a beat, the last one with last_i and that of the target
// class, exactly one, with target_i. Their codes are kept, and added as they come; log-sum-exp is known with the last one.
// Then the error words go out in class order, one a beat, and nothing comes in meanwhile: a sample of C classes takes 2·C
// clocks. More than CLASSES beats without last_i are not legal: the places of the first classes would be overwritten, and
// the error words would be wrong.
module lns_loss #(
  parameter int LOGIT_BITS        = 8,   // B of a logit, signed
  parameter int LOGIT_FRAC_BITS   = 3,   // F_Z
  parameter int LOSS_BITS         = 16,  // B_l of the loss format, unsigned
  parameter int LOSS_FRAC_BITS    = 10,  // F_l
  parameter int ERROR_BITS        = 8,   // B of an error word, signed
  parameter int ERROR_FRAC_BITS   = 3,   // F_E
  parameter int ROUND             = 0,   // of an error word; 0: nearest, ties to the even code; 1: down
  parameter int SCALE             = 4,   // c_e, log2(log2 e) in codes at F_Z
  parameter int LOGIT_OFFSET_BITS = 6,
  parameter int ERROR_OFFSET_BITS = 8,
  parameter int CLASSES           = 16,  // the most classes of a sample, a power of two
  parameter int ANTILOG_BITS      = 12,  // T
  parameter     ANTILOG_FILE      = "",  // $readmemh image of 2**F_Z entries
  parameter int KIND              = 0,   // from here on: the loss table, as in lns_add
  parameter int K                 = 0,
  parameter int G                 = 0,
  parameter int SB_ENTRIES        = 1,
  parameter int SB_BITS           = 1,
  parameter     SB_FILE           = "",
  parameter int SB_SLOPE_BITS     = 1,
  parameter     SB_SLOPE_FILE     = "",
  parameter int DB_ENTRIES        = 1,
  parameter int DB_BITS           = 1,
  parameter     DB_FILE           = "",
  parameter int DB_SLOPE_BITS     = 1,
  parameter     DB_SLOPE_FILE     = "",
  parameter int DB_FIRST_BITS     = 1,
  parameter     DB_FIRST_FILE     = ""
) (
  input  logic                                clk_i,
  input  logic                                rst_ni,
  input  logic                                valid_i,
  output logic                                ready_o,
  input  logic                                last_i,
  input  logic        [       LOGIT_BITS-1:0] word_i,
  input  logic                                target_i,
  input  logic signed [LOGIT_OFFSET_BITS-1:0] logit_offset_i,  // in octaves, the same at every beat of a sample
  input  logic signed [ERROR_OFFSET_BITS-1:0] error_offset_i,  // in octaves; that of the beat with last_i is used
  output logic                                valid_o,
  input  logic                                ready_i,
  output logic                                last_o,
  output logic        [       ERROR_BITS-1:0] word_o,
  output logic                                saturate_o,
  output logic                                underflow_o,
  output logic                                acc_saturate_o,
  output logic        [        LOSS_BITS-1:0] loss_o           // d_y in codes at F_l, the same at every word of a sample
);

  localparam int IndexBits = (CLASSES > 1) ? $clog2(CLASSES) : 1;

  logic                                emit_d, emit_q;    // 0: logits come in; 1: error words go out
  logic        [        IndexBits-1:0] index_d, index_q;  // of the class that comes in or goes out
  logic        [        IndexBits-1:0] final_d, final_q;  // of the sample's last class
  logic        [        LOSS_BITS-1:0] lse_d, lse_q;      // of the classes so far; zero before the first
  logic                                lse_saturate_d, lse_saturate_q;
  logic        [        LOSS_BITS-1:0] target_code_d, target_code_q;
  logic signed [ERROR_OFFSET_BITS-1:0] error_offset_d, error_offset_q;

  logic take, give;
  assign ready_o = !emit_q;
  assign valid_o = emit_q;
  assign take    = valid_i && ready_o;
  assign give    = valid_o && ready_i;

  // --- logits in

  logic [LOSS_BITS-1:0] code;
  logic                 clamped;
  lns_loss_code #(
    .LOGIT_BITS     (LOGIT_BITS),
    .LOGIT_FRAC_BITS(LOGIT_FRAC_BITS),
    .LOSS_BITS      (LOSS_BITS),
    .LOSS_FRAC_BITS (LOSS_FRAC_BITS),
    .SCALE          (SCALE),
    .OFFSET_BITS    (LOGIT_OFFSET_BITS),
    .ANTILOG_BITS   (ANTILOG_BITS),
    .ANTILOG_FILE   (ANTILOG_FILE)
  ) u_code (
    .word_i        (word_i),
    .offset_i      (logit_offset_i),
    .code_o        (code),
    .acc_saturate_o(clamped)
  );

  logic [LOSS_BITS-1:0] sum;
  logic                 sum_saturate;
  logic                 unused_underflow;  // a sum is at least its larger operand
  lns_add #(
    .BITS         (LOSS_BITS),
    .FRAC_BITS    (LOSS_FRAC_BITS),
    .SIGNED       (0),
    .KIND         (KIND),
    .K            (K),
    .G            (G),
    .SB_ENTRIES   (SB_ENTRIES),
    .SB_BITS      (SB_BITS),
    .SB_FILE      (SB_FILE),
    .SB_SLOPE_BITS(SB_SLOPE_BITS),
    .SB_SLOPE_FILE(SB_SLOPE_FILE)
  ) u_add (
    .a_i        (lse_q),
    .b_i        (code),
    .word_o     (sum),
    .saturate_o (sum_saturate),
    .underflow_o(unused_underflow)
  );

  // what a class's error word needs beside log-sum-exp
  localparam int EntryBits = LOSS_BITS + 2;
  logic [EntryBits-1:0] entries[0:CLASSES-1];
  always_ff @(posedge clk_i) begin
    if (take) entries[index_q] <= {clamped, target_i, code};
  end

  // --- error words out

  logic                 class_clamped, class_target;
  logic [LOSS_BITS-1:0] class_code;
  assign {class_clamped, class_target, class_code} = entries[index_q];

  lns_loss_error #(
    .LOSS_BITS      (LOSS_BITS),
    .LOSS_FRAC_BITS (LOSS_FRAC_BITS),
    .ERROR_BITS     (ERROR_BITS),
    .ERROR_FRAC_BITS(ERROR_FRAC_BITS),
    .ROUND          (ROUND),
    .OFFSET_BITS    (ERROR_OFFSET_BITS),
    .KIND           (KIND),
    .K              (K),
    .G              (G),
    .DB_ENTRIES     (DB_ENTRIES),
    .DB_BITS        (DB_BITS),
    .DB_FILE        (DB_FILE),
    .DB_SLOPE_BITS  (DB_SLOPE_BITS),
    .DB_SLOPE_FILE  (DB_SLOPE_FILE),
    .DB_FIRST_BITS  (DB_FIRST_BITS),
    .DB_FIRST_FILE  (DB_FIRST_FILE)
  ) u_error (
    .code_i     (class_code),
    .lse_i      (lse_q),
    .target_i   (class_target),
    .offset_i   (error_offset_q),
    .word_o     (word_o),
    .saturate_o (saturate_o),
    .underflow_o(underflow_o)
  );

  assign last_o         = index_q == final_q;
  assign acc_saturate_o = lse_saturate_q || class_clamped;
  assign loss_o         = lse_q - target_code_q;

  // --- state

  always_comb begin
    emit_d         = emit_q;
    index_d        = index_q;
    final_d        = final_q;
    lse_d          = lse_q;
    lse_saturate_d = lse_saturate_q;
    target_code_d  = target_code_q;
    error_offset_d = error_offset_q;
    if (take) begin
      index_d        = index_q + IndexBits'(1);
      lse_d          = sum;
      lse_saturate_d = lse_saturate_q || sum_saturate;
      if (target_i) target_code_d = code;
      if (last_i) begin
        emit_d         = 1'b1;
        index_d        = '0;
        final_d        = index_q;
        error_offset_d = error_offset_i;
      end
    end
    if (give) begin
      index_d = index_q + IndexBits'(1);
      if (last_o) begin
        emit_d         = 1'b0;
        index_d        = '0;
        lse_d          = '0;
        lse_saturate_d = 1'b0;
      end
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      emit_q         <= 1'b0;
      index_q        <= '0;
      final_q        <= '0;
      lse_q          <= '0;
      lse_saturate_q <= 1'b0;
      target_code_q  <= '0;
      error_offset_q <= '0;
    end else begin
      emit_q         <= emit_d;
      index_q        <= index_d;
      final_q        <= final_d;
      lse_q          <= lse_d;
      lse_saturate_q <= lse_saturate_d;
      target_code_q  <= target_code_d;
      error_offset_q <= error_offset_d;
`ifndef SYNTHESIS
      if (take && !last_i && index_q == IndexBits'(CLASSES - 1)) begin
        $fatal(1, "a sample has more than %0d classes", CLASSES);
      end
`endif
    end
  end

`ifndef SYNTHESIS
  initial begin
    if (CLASSES < 1 || (CLASSES & (CLASSES - 1)) != 0) $fatal(1, "CLASSES must be a power of two, got %0d", CLASSES);
  end
`endif

endmodule
